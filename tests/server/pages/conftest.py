# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A browser, and services on a port of the loopback address for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from chromium import Chromium  # noqa: E402
from gunicorn_process import HERE as TESTS  # noqa: E402
from gunicorn_process import SERVER  # noqa: E402
from port_gunicorn import PortGunicorn  # noqa: E402
from support import settings_content  # noqa: E402


def serve(folder: Path, application: str, methods: list[str], **env: str) -> Iterator[PortGunicorn]:
    content = settings_content(
        folder, limits={"request_timeout_seconds": 20}, authentication={"methods": methods}
    )
    paths = os.pathsep.join(map(str, (SERVER, TESTS, TESTS / "live", HERE)))
    server = PortGunicorn(folder, application, content, PYTHONPATH=paths, **env)
    try:
        server.wait_ready()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortGunicorn]:
    """The real application for embedding, on the fake engine."""
    yield from serve(tmp_path_factory.mktemp("embedder"), "fake_wsgi:app", ["api_key"])


@pytest.fixture(scope="module")
def canned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortGunicorn]:
    """The stand-in for models of other tasks."""
    folder = tmp_path_factory.mktemp("canned")
    (folder / "answers").mkdir()
    yield from serve(folder, "canned_wsgi:app", ["api_key", "jwt"], CANNED=str(folder / "answers"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """One browser for the tests of a module."""
    chromium = Chromium(tmp_path_factory.mktemp("chromium"))
    yield chromium
    chromium.close()


@pytest.fixture
def page(browser: Chromium) -> Chromium:
    """The browser's page, wide and light."""
    browser.look()
    return browser


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the screenshots."""
    return Path(tmp_path_factory.mktemp("pictures"))
