# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Servers for the live tests; whatever a test starts ends with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from gunicorn_process import Gunicorn, Start
from support import settings_content


@contextmanager
def _starter(folder: Path, snapshot: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def start(application: str = "fake_wsgi:app", **env: str) -> Gunicorn:
            (folder / "run").mkdir()
            content = settings_content(snapshot, limits={"request_timeout_seconds": 20})
            gunicorn = Gunicorn(folder / "run", application, content, **env)
            stack.callback(gunicorn.close)
            return gunicorn

        yield start


@pytest.fixture
def start(tmp_path: Path, snapshot: Path) -> Iterator[Start]:
    """Start a server of the test's own."""
    with _starter(tmp_path, snapshot) as starter:
        yield starter


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """A ready server that the tests of one module share."""
    folder = tmp_path_factory.mktemp("server")
    with _starter(folder, folder) as starter:
        gunicorn = starter()
        gunicorn.wait_ready()
        yield gunicorn
