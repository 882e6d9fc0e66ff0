# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The interpreter of the tools environment, which has the real packages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def model_tools_python() -> str:
    """The interpreter that ``MODEL_TOOLS_PYTHON`` names, else that of .venv/model_tools."""
    made = PROJECT / ".venv" / "model_tools" / "bin" / "python"
    python = os.environ.get("MODEL_TOOLS_PYTHON") or str(made)
    assert os.access(python, os.X_OK), f"no {python}; run python3 -m tools.venv model_tools"
    return python
