# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Send two servers mixed requests and watch their memory; see tests/server/memory_growth.py."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from . import venv
from .paths import ROOT, SERVER, binary
from .report import run

REQUESTS = 20_000


def run_memory() -> dict[str, Any]:
    """Send the requests; return how much each worker has grown."""
    venv.ensure("server")
    tests = ROOT / "tests" / "server"
    paths = {"PYTHONPATH": os.pathsep.join(map(str, (SERVER, tests)))}
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record.json"
        program = str(tests / "memory_growth.py")
        asked = ["--requests", str(REQUESTS), "--record", str(record)]
        run([binary("server", "python"), program, *asked], log="soak-memory", env=paths)
        measured: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    return measured
