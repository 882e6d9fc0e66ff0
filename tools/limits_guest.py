# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs in the machine of ``verity_machine.py``: let the kernel kill for want of memory, and count.

Usage: limits_guest.py DISK COMMAND

Control groups of version 2 are made as systemd makes them; systemd itself is not here, so that a
stand-in answers for ``systemctl``. ``COMMAND`` is the packed modelops-host. The last line is
``GUEST RECORD`` and JSON: ``kernel`` and ``checks``, each true or false.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
SLICE = "/modelops.slice/modelops-minilm.slice"
SLOT = f"{SLICE}/modelops-minilm@blue.service"
MIB = 1 << 20
READER = "ansible_collections.modelops.serving.plugins.module_utils._host_command.groups"
# In the place of systemctl show --property ControlGroup --value
SYSTEMCTL = f"#!/bin/sh\necho {SLICE}\n"
TAKE = "import sys; kept = b'x' * int(sys.argv[1])"


def main(_disk: str, command: str) -> int:
    """Try everything and print the record; return 0, whatever was found."""
    subprocess.run(["mount", "-t", "cgroup2", "cgroup2", str(MOUNT)], check=True)
    counters = import_module(READER).counters
    Path("/usr/bin/systemctl").write_text(SYSTEMCTL, encoding="ascii")
    Path("/usr/bin/systemctl").chmod(0o755)
    Path("/state").mkdir()
    checks: dict[str, bool] = {}

    make_groups()
    before = counters(SLICE)
    checks["the slice alone is read"] = list(before) == [SLICE] and before[SLICE].count == 0
    checks["what keeps to its limit lives"] = take(8 * MIB) == 0
    put(SLOT, "memory.high", 24 * MIB)
    checks["what is above MemoryHigh lives"] = take(28 * MIB) == 0
    checks["and is slowed down"] = events(SLOT).get("high", 0) > 0
    put(SLOT, "memory.high", "max")
    checks["what is above MemoryMax is killed"] = take(200 * MIB) == -signal.SIGKILL
    checks["the slice counts the kill of its slot"] = counters(SLICE)[SLICE].count == 1
    (MOUNT / SLOT[1:]).rmdir()
    checks["and still does when the slot is gone"] = counters(SLICE)[SLICE].count == 1
    checks["modelops-host counts it"] = metric(command) == "1"
    make_groups()
    take(200 * MIB)
    checks["a kill in the next slot is one more"] = metric(command) == "2"
    checks["and counts once"] = metric(command) == "2"
    print("GUEST RECORD", json.dumps({"kernel": platform.release(), "checks": checks}))
    return 0


def make_groups() -> None:
    """Make the groups of slice and slot, the slot with 48 MiB and no swap."""
    for group in ("", "/modelops.slice", SLICE):
        (MOUNT / group[1:]).mkdir(exist_ok=True)
        put(group, "cgroup.subtree_control", "+memory")
    (MOUNT / SLOT[1:]).mkdir()
    put(SLOT, "memory.max", 48 * MIB)


def put(group: str, name: str, value: object) -> None:
    """Write a value of a group."""
    (MOUNT / group[1:] / name).write_text(f"{value}\n", encoding="ascii")


def events(group: str) -> dict[str, int]:
    """Read the counters of a group."""
    text = (MOUNT / group[1:] / "memory.events").read_text(encoding="ascii")
    return {name: int(count) for name, count in (line.split() for line in text.splitlines())}


def take(size: int) -> int:
    """Let a process in the slot take so many bytes; return its status."""

    def join() -> None:
        put(SLOT, "cgroup.procs", os.getpid())

    return subprocess.run(
        [sys.executable, "-c", TAKE, str(size)], preexec_fn=join, check=False
    ).returncode


def metric(command: str) -> str:
    """Run modelops-host and return the count that it wrote."""
    arguments = ["--slice", "minilm=modelops-minilm.slice", "--state", "/state/kills.json"]
    subprocess.run([command, "memory", *arguments, "--metrics", "/state/memory.prom"], check=True)
    lines = Path("/state/memory.prom").read_text(encoding="ascii").splitlines()
    name = 'modelops_memory_kills_total{service="minilm"} '
    return next(line.removeprefix(name) for line in lines if line.startswith(name))


if __name__ == "__main__":
    status = main(*sys.argv[1:])
    sys.stdout.flush()
    sys.exit(status)
