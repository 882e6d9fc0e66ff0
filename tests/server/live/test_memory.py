# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A worker under mixed requests does not grow; `make soak PART=memory` sends ten times as many."""

from __future__ import annotations

from pathlib import Path

import pytest

from memory_growth import ALLOWED_PERCENT, TRIALS, measure

pytestmark = pytest.mark.live

REQUESTS = 2000


def test_memory_does_not_grow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured = measure(tmp_path, REQUESTS)
    assert set(measured) == set(TRIALS)
    for name, one in measured.items():
        del one["samples_kib"]
        with capsys.disabled():
            print(f"\nmemory of the worker, {name}: {one}")
    assert {
        name for name, one in measured.items() if one["growth_percent"] >= ALLOWED_PERCENT
    } == set()
