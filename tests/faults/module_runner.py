# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Run model_snapshot again and again in processes of its own, each killed at a chosen point.

A program: it reads lines of JSON ``{"args": {...}, "point": n}`` and answers each with ``{"killed":
bool, "points": n, "result": {...} or null}``. Each line is one forked process that runs the real
module; forking spares the start of Python. With ``point`` n > 0 the process kills itself
(SIGKILL) when it is about to make its n-th call that changes the file system. The calls are counted
around the module, which knows nothing of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.module_utils import basic
from ansible_collections.modelops.serving.plugins.modules import model_snapshot

CHANGING = ("chmod", "chown", "fsync", "link", "mkdir", "rename", "replace", "rmdir", "unlink")


def count_calls(point: int, record: Callable[[int], None]) -> None:
    """Let each changing call of this process count, and the ``point``-th one kill it."""
    lock = threading.Lock()
    made = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            nonlocal made
            with lock:
                made += 1
                record(made)
                if made == point:
                    os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return wrapper

    for name in CHANGING:
        setattr(os, name, counted(getattr(os, name)))


def run_module(arguments: dict[str, Any], point: int, answer: Path, points: Path) -> None:
    """Become the module; its answer goes to ``answer``, the number of calls to ``points``."""
    os.setsid()  # what the module starts dies with it
    counter = os.open(points, os.O_WRONLY | os.O_CREAT, 0o600)
    count_calls(point, lambda made: os.pwrite(counter, b"%06d" % made, 0) and None)
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
    basic._ANSIBLE_PROFILE = "legacy"
    with answer.open("w") as stream, contextlib.redirect_stdout(stream):
        model_snapshot.main()


def trial(arguments: dict[str, Any], point: int, folder: Path) -> dict[str, Any]:
    """Run the module once in a process of its own."""
    answer, points = folder / "answer", folder / "points"
    child = os.fork()
    if child == 0:
        status = 1
        try:
            run_module(arguments, point, answer, points)
        except SystemExit as end:
            status = int(end.code or 0)
        finally:
            sys.stderr.flush()
            os._exit(status)
    _pid, status = os.waitpid(child, 0)
    text = answer.read_text() if answer.exists() else ""
    killed = os.WIFSIGNALED(status)
    return {
        "killed": killed,
        "points": int(points.read_text() or 0),
        "result": None if killed else json.loads(text),
    }


def main() -> None:
    """Answer line by line until there is no more."""
    for line in sys.stdin:
        asked = json.loads(line)
        folder = Path(tempfile.mkdtemp(prefix="trial-"))
        try:
            print(json.dumps(trial(asked["args"], asked["point"], folder)), flush=True)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
