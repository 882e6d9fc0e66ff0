# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host facts: the least of what the machine, its control groups and its affinity allow."""

from __future__ import annotations

import os

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._host import Host, read_host

GIB = 1024**3


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A function that builds a host of 8 GiB and 4 CPUs from files and reads its facts."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})

    def build(groups, **files):
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/meminfo").write_text(f"MemTotal: {8 * GIB // 1024} kB\nMemFree: 1 kB\n")
        (tmp_path / "proc/self/cgroup").write_text(groups)
        for path, content in files.items():
            target = tmp_path / "sys/fs/cgroup" / path.replace("__", "/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
        return read_host(str(tmp_path))

    return build


def test_a_machine_without_limits(host):
    assert host("") == Host(8 * GIB, 4)


def test_version_2_takes_the_smallest_limit_of_the_whole_path(host):
    files = {
        "system.slice__memory.max": f"{2 * GIB}\n",
        "system.slice__a.service__memory.max": "max\n",
        "system.slice__a.service__cpu.max": "250000 100000\n",
        "cpu.max": "max 100000\n",
    }
    assert host("0::/system.slice/a.service\n", **files) == Host(2 * GIB, 2)


def test_version_1_in_a_container_whose_path_is_not_below_its_mount(host):
    files = {
        "memory__memory.limit_in_bytes": f"{GIB}\n",
        "cpu,cpuacct__cpu.cfs_quota_us": "150000\n",
        "cpu,cpuacct__cpu.cfs_period_us": "100000\n",
    }
    groups = "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n2:pids:/docker/abc\n"
    assert host(groups, **files) == Host(GIB, 1)


def test_version_1_without_limits(host):
    files = {
        "memory__memory.limit_in_bytes": "9223372036854771712\n",
        "cpu__cpu.cfs_quota_us": "-1\n",
        "cpu__cpu.cfs_period_us": "100000\n",
    }
    assert host("4:memory:/\n3:cpu,cpuacct:/\n0::/\n", **files) == Host(8 * GIB, 4)


def test_half_a_cpu_is_still_one(host):
    assert host("0::/\n", **{"cpu.max": "50000 100000\n"}).cpus == 1


def test_a_host_without_meminfo_is_an_error(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("")
    with pytest.raises(OSError, match="no line MemTotal"):
        read_host(str(tmp_path))


def test_this_host_has_something():
    facts = read_host()
    assert facts.memory_bytes > 0 and facts.cpus >= 1
