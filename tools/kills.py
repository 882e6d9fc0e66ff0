# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Kill the module that fetches models at every step and often at random; see tests/faults."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from . import collection, venv
from .paths import ROOT, binary
from .report import run

RANDOM_KILLS = 45


def run_kills() -> dict[str, Any]:
    """Kill at each changing call and at random; return how often, and how far each had come."""
    venv.ensure("dev")
    paths = {"PYTHONPATH": str(collection.link())}
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record.json"
        program = str(ROOT / "tests" / "faults" / "kill_trials.py")
        asked = ["--random", str(RANDOM_KILLS), "--record", str(record)]
        run([binary("dev", "python"), program, *asked], log="soak-kills", env=paths)
        done: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    return done
