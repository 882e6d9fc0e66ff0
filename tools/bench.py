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

VENVS = {"verify": ("dev", "clients"), "edge": ("dev", "server")}


def _command_line() -> int:
    name, *options = sys.argv[1:] or [""]
    if name not in VENVS:
        raise Failure(f"no benchmark '{name}'; choose from {', '.join(VENVS)}")
    for each in VENVS[name]:
        venv.ensure(each)
    collection.link()
    pythons = {
        f"MODEL_{each.upper()}_PYTHON": binary(each, "python")
        for each in VENVS[name]
        if each != "dev"
    }
    script = str(ROOT / "benchmarks" / f"{name}.py")
    command = [binary("dev", "python"), script, *options]
    return subprocess.run(command, env={**os.environ, **pythons}, check=False).returncode


if __name__ == "__main__":
    main(_command_line)
