# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Where things stand in a checkout."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / "tools"
VENVS = ROOT / ".venv"
CACHE = ROOT / ".cache"
LOGS = CACHE / "logs"
DEMO = ROOT / ".demo"
COLLECTIONS = ROOT / ".ansible" / "collections"
SERVER = ROOT / "files" / "model_server"
LOCKS = SERVER / "locks"
MODEL_TOOLS = ROOT / "files" / "model_tools"

sys.dont_write_bytecode = True


def binary(venv: str, name: str) -> str:
    """Return the path of the program ``name`` in the virtual environment ``venv``."""
    return str(VENVS / venv / "bin" / name)
