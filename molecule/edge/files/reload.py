# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Reload Nginx many times; each time wait until all workers are new ones. Print how many times.

Usage: reload.py TIMES
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

PATIENCE = 30.0


def workers(master: str) -> set[int]:
    """Return the processes that take new connections."""
    listed = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", master],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = [line.split(None, 1) for line in listed.splitlines()]
    return {int(pid) for pid, title in lines if title.strip() == "nginx: worker process"}


def reload(master: str) -> None:
    """Reload once."""
    before, deadline = workers(master), time.monotonic() + PATIENCE
    subprocess.run(["nginx", "-s", "reload"], check=True)
    while not (after := workers(master)) or after & before:
        if time.monotonic() > deadline:
            raise SystemExit(f"the workers are still {sorted(after)}")
        time.sleep(0.005)


def main() -> None:
    """Reload as often as asked."""
    master = Path("/run/nginx.pid").read_text(encoding="ascii").strip()
    times = int(sys.argv[1])
    for _time in range(times):
        reload(master)
    print(times)


if __name__ == "__main__":
    main()
