# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What the fault tests share: a model at the test hub, a stand-in, and an empty store."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hub import Hub

sys.path.insert(0, str(Path(__file__).resolve().parent))

from support import write_model


@pytest.fixture
def model(hub_root: Path, model_hub: Hub) -> Path:
    """A small model at the test hub."""
    return write_model(hub_root, 400_000)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """An empty store."""
    return tmp_path / "store"
