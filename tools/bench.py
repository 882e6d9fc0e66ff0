# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Run a benchmark of ``benchmarks/`` with what it needs.

Usage: python3 -m tools.bench verify [options]
"""

from __future__ import annotations

import os
import subprocess
import sys

from . import collection, venv
from .paths import ROOT, binary
from .report import Failure, main

VENVS = {"verify": ("dev", "clients")}


def _command_line() -> int:
    name, *options = sys.argv[1:] or [""]
    if name not in VENVS:
        raise Failure(f"no benchmark '{name}'; choose from {', '.join(VENVS)}")
    for each in VENVS[name]:
        venv.ensure(each)
    collection.link()
    clients = {"MODEL_CLIENTS_PYTHON": binary("clients", "python")}
    script = str(ROOT / "benchmarks" / f"{name}.py")
    command = [binary("dev", "python"), script, *options]
    return subprocess.run(command, env={**os.environ, **clients}, check=False).returncode


if __name__ == "__main__":
    main(_command_line)
