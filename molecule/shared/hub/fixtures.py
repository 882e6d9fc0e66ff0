# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The test hub as pytest fixtures, offered to every test by ``tests/conftest.py``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .server import Hub


@pytest.fixture
def hub_root(tmp_path: Path) -> Path:
    """An empty folder for repositories: write ``<owner>/<name>/<file>`` into it."""
    root = tmp_path / "hub"
    root.mkdir()
    return root


@pytest.fixture
def model_hub(hub_root: Path) -> Iterator[Hub]:
    """A running test hub over ``hub_root``; its stalls last 3 seconds."""
    with Hub(hub_root, stall_seconds=3) as hub:
        yield hub
