# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Servers for the live tests; whatever a test starts ends with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gunicorn_process import Gunicorn, Start
from support import settings_content


@contextmanager
def _starter(folder: Path, snapshot: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def start(
            application: str = "fake_wsgi:app",
            sections: dict[str, Any] | None = None,
            **env: str,
        ) -> Gunicorn:
            (folder / "run").mkdir()
            wanted = {"limits": {"request_timeout_seconds": 20}, **(sections or {})}
            content = settings_content(snapshot, **wanted)
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
def start_shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start the server that the tests of one module share."""
    folder = tmp_path_factory.mktemp("server")
    with _starter(folder, folder) as starter:
        yield starter


@pytest.fixture(scope="module")
def server(start_shared: Start) -> Gunicorn:
    """A ready server that the tests of one module share."""
    gunicorn = start_shared()
    gunicorn.wait_ready()
    return gunicorn
