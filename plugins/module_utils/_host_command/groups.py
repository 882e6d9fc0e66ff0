# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often the kernel killed for want of memory, as the control groups count it.

Version 2 adds what happens below a group to its own ``memory.events`` (admin-guide/cgroup-v2), so
that the slice alone is read. Version 1 counts in ``memory.oom_control`` of the killed process's
own group only, so that all groups below are read.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

MOUNT = "/sys/fs/cgroup"
_KEY = "oom_kill"


@dataclass(frozen=True)
class Counter:
    """A group's count of kills; another ``inode`` means another group of the same name."""

    inode: int
    count: int


def group_of(unit: str) -> str:
    """Return the control group of a unit as systemd names it; empty where the unit has none."""
    command = ["systemctl", "show", "--property", "ControlGroup", "--value", "--", unit]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise OSError(f"systemctl cannot show {unit}: {answer.stderr.strip()}")
    return answer.stdout.strip()


def counters(group: str, mount: str = MOUNT) -> dict[str, Counter]:
    """Return the counters of ``group`` by the path below the mount; none where it is gone."""
    if os.path.exists(os.path.join(mount, "cgroup.controllers")):
        found = {group: _read(os.path.join(mount, group.lstrip("/")), "memory.events")}
    else:
        top = os.path.join(mount, "memory")
        folders = (item[0] for item in os.walk(os.path.join(top, group.lstrip("/"))))
        found = {
            f"/{os.path.relpath(folder, top)}": _read(folder, "memory.oom_control")
            for folder in folders
        }
    return {path: counter for path, counter in found.items() if counter is not None}


def _read(folder: str, name: str) -> Counter | None:
    """Return the counter of one group; none where the group ends meanwhile."""
    try:
        with open(os.path.join(folder, name), encoding="ascii") as stream:
            rows = [line.split() for line in stream]
        inode = os.stat(folder).st_ino
    except OSError:
        return None
    counts = [int(row[1]) for row in rows if len(row) == 2 and row[0] == _KEY]
    return Counter(inode, counts[0]) if counts else None
