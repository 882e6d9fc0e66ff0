# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A worker under mixed requests does not grow; `make soak PART=memory` sends ten times as many."""

from __future__ import annotations

from pathlib import Path

import pytest

from gunicorn_process import Start
from memory_growth import ALLOWED_PERCENT, measure, sections

pytestmark = pytest.mark.live

REQUESTS = 2000


def test_memory_does_not_grow(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = start(sections=sections(tmp_path))
    server.wait_ready()
    measured = measure(server, REQUESTS)
    del measured["samples_kib"]
    with capsys.disabled():
        print(f"\nmemory of the worker: {measured}")
    assert measured["growth_percent"] < ALLOWED_PERCENT
