# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests of the client."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from driver import Driver


@pytest.fixture(params=["sync", "async"])
def driver(request: pytest.FixtureRequest) -> Driver:
    """Both clients: each test runs once with either."""
    return Driver(request.param)
