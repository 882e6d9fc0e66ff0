# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory and how many CPUs a process on this host can really have.

A container or a slice may have less than the machine; its limits stand in the control groups,
version 1 or 2, from the process's own group up to the root (Linux kernel documentation,
admin-guide/cgroup-v1 and admin-guide/cgroup-v2).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Host:
    """What a plan may use: ``memory_bytes`` in all, and ``cpus``, at least 1."""

    memory_bytes: int
    cpus: int


def read_host(root: str = "/") -> Host:
    """Return the facts of the host whose /proc and /sys lie below ``root``.

    Total, not free, memory counts: a plan must come out the same while its own service runs.
    """
    base = Path(root)
    groups = list(_control_groups(base))
    memory = [_memory_total(base), *(limit for group in groups for limit in _memory_limits(group))]
    shares = [share for group in groups for share in _cpu_shares(group)]
    cpus = min([float(len(os.sched_getaffinity(0))), *shares])
    return Host(memory_bytes=min(memory), cpus=max(1, int(cpus)))


def _memory_total(base: Path) -> int:
    for line in (base / "proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{base / 'proc/meminfo'} has no line MemTotal")


def _control_groups(base: Path) -> Iterator[Path]:
    """Yield the folders of the groups that this process is in, and those above them."""
    mounts = base / "sys/fs/cgroup"
    for line in _read(base / "proc/self/cgroup").splitlines():
        controllers, path = line.split(":", 2)[1:]
        if not controllers:
            roots = [mounts, mounts / "unified"]
        elif {"memory", "cpu"} & set(controllers.split(",")):
            roots = [mounts / name for name in (controllers, *controllers.split(","))]
        else:
            continue
        for mount in roots:
            # In a container the path may not exist below the mount, but the mount itself does.
            group = mount / path.lstrip("/")
            for folder in (group, *group.parents):
                if mount == folder or mount in folder.parents:
                    yield folder


def _memory_limits(group: Path) -> Iterator[int]:
    for name in ("memory.max", "memory.limit_in_bytes"):
        content = _read(group / name).strip()
        # No limit: version 2 writes "max", version 1 a number beyond any memory.
        if content.isdigit():
            yield int(content)


def _cpu_shares(group: Path) -> Iterator[float]:
    quota, period = (_read(group / "cpu.max").split() + ["", ""])[:2]
    if not quota:
        quota = _read(group / "cpu.cfs_quota_us").strip()
        period = _read(group / "cpu.cfs_period_us").strip()
    if quota.isdigit() and period.isdigit():  # "max" or -1 for no limit
        yield int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
