# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program of the collection with the packages of the tools environment.

Fetching and hashing need the standard library alone. Scanning, signatures and bills of materials
need packages; they run in a process of their own, with the interpreter of an environment that a
role made from a lock. A program is a module of this collection that reads one JSON request from
its standard input and prints one JSON answer.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from ._errors import ModelError

TIMEOUT_SECONDS = 3600


def run_tool(python: str, program: ModuleType, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer of ``program`` to ``request``.

    ``python`` is an interpreter or the folder of an environment. An answer ``{"error": message,
    "code": code}`` is raised. Raises ``ModelError``: ``tools_missing``, ``tools_failed`` or that
    code.
    """
    name = program.__name__.rpartition(".")[2].lstrip("_")
    interpreter = os.path.join(python, "bin", "python") if os.path.isdir(python) else python
    if not interpreter or not os.access(interpreter, os.X_OK):
        raise ModelError(
            f"The program {name} needs the tools environment, but there is none at '{python}'. "
            "Run the role python_env with its entry point tools, or give tools_python.",
            "tools_missing",
        )
    try:
        done = subprocess.run(
            [interpreter, "-I", "-c", inspect.getsource(program)],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        answer = json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise _failed(name, interpreter, str(error)) from error
    if not isinstance(answer, dict):
        raise _failed(name, interpreter, (done.stderr.strip().splitlines() or ["no output"])[-1])
    if "error" in answer:
        message, code = str(answer["error"]), str(answer["code"])
        raise ModelError(message, code)
    return answer


def _failed(name: str, interpreter: str, reason: str) -> ModelError:
    return ModelError(
        f"The program {name} ({interpreter}) did not run to its end: {reason}. Check that this is "
        "the interpreter of the tools environment.",
        "tools_failed",
    )
