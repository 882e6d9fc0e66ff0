# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills for want of memory are read from both versions of control groups, counted once and told.

The files of the groups are copies of what Linux writes, in a tree of the test's own.
"""

from __future__ import annotations

import json

import pytest
from ansible_collections.modelops.serving.plugins.module_utils import _host_command
from ansible_collections.modelops.serving.plugins.module_utils._host_command import (
    groups,
    memory,
)

SLICE = "/modelops.slice/modelops-minilm.slice"
SLOT = f"{SLICE}/modelops-minilm@blue.service"
VERSION_1 = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"
VERSION_2 = "low 0\nhigh 12\nmax 40\noom 3\noom_kill {}\noom_group_kill 0\n"


@pytest.fixture
def tree(tmp_path):
    """A function that writes the counters: ``tree(version, {group: kills})``."""
    mount = tmp_path / "cgroup"

    def write(version, kills):
        top = mount / "memory" if version == 1 else mount
        top.mkdir(parents=True, exist_ok=True)
        if version == 2:
            (mount / "cgroup.controllers").write_text("cpu memory pids\n", encoding="ascii")
        name, text = (
            ("memory.oom_control", VERSION_1) if version == 1 else ("memory.events", VERSION_2)
        )
        for group, count in kills.items():
            folder = top / group.lstrip("/")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text.format(count), encoding="ascii")
        return str(mount)

    return write


def counted(found):
    return {path: counter.count for path, counter in found.items()}


def test_version_1_counts_in_every_group(tree):
    mount = tree(1, {SLICE: 0, SLOT: 2})
    assert counted(groups.counters(SLICE, mount)) == {SLICE: 0, SLOT: 2}


def test_version_2_counts_in_the_slice_for_all_below(tree):
    mount = tree(2, {SLICE: 2, SLOT: 2})
    assert counted(groups.counters(SLICE, mount)) == {SLICE: 2}


@pytest.mark.parametrize("version", [1, 2])
def test_a_group_that_is_gone_counts_nothing(tree, version):
    mount = tree(version, {})
    assert groups.counters(SLICE, mount) == {}


def counter(count, inode=7):
    return groups.Counter(inode, count)


@pytest.mark.parametrize(
    ("steps", "kills"),
    [
        ([{SLOT: counter(0)}, {SLOT: counter(0)}], 0),
        ([{SLOT: counter(1)}, {SLOT: counter(1)}, {SLOT: counter(3)}], 3),
        ([{SLOT: counter(2)}, {}, {SLOT: counter(1)}], 3),
        # The slot was started again: a lower count, or the same one in another group.
        ([{SLOT: counter(2)}, {SLOT: counter(1)}], 3),
        ([{SLOT: counter(2)}, {SLOT: counter(2, inode=8)}], 4),
        ([{SLOT: counter(2)}, {SLOT: counter(0, inode=8)}], 2),
        ([{SLICE: counter(0, 1), SLOT: counter(1)}, {SLICE: counter(1, 1), SLOT: counter(1)}], 2),
    ],
)
def test_each_kill_counts_once(steps, kills):
    record = {}
    for found in steps:
        record = json.loads(json.dumps(memory.updated(record, found)))
    assert record["kills"] == kills


@pytest.fixture
def run(tree, tmp_path, monkeypatch):
    """Run the command for one service: ``run(kills, "--only-count")``; return its metric."""
    mount = tree(1, {})
    real = memory.counters
    monkeypatch.setattr(memory, "group_of", lambda unit: SLICE if "minilm" in unit else "")
    monkeypatch.setattr(memory, "counters", lambda group: real(group, mount))
    (tmp_path / "memory").mkdir()
    state, metrics = tmp_path / "memory" / "state.json", tmp_path / "memory.prom"

    def command(kills, *more):
        tree(1, {SLICE: 0, SLOT: kills})
        arguments = ["memory", "--slice", "minilm=modelops-minilm.slice"]
        arguments += ["--slice", "idle=modelops-idle.slice", "--state", str(state)]
        assert _host_command.main([*arguments, "--metrics", str(metrics), *more]) == 0
        lines = metrics.read_text(encoding="utf-8").splitlines()
        assert 'modelops_memory_kills_total{service="idle"} 0' in lines
        name = 'modelops_memory_kills_total{service="minilm"} '
        return next(int(line[len(name) :]) for line in lines if line.startswith(name))

    command.state = state
    return command


@pytest.fixture
def alerts(monkeypatch):
    """The alerts that were sent; ``alerts.taken`` says whether the webhook takes them."""

    class Alerts(list):
        taken = True

    sent = Alerts()

    def send(webhook, event, **details):
        sent.append((webhook, event, details))
        return sent.taken

    monkeypatch.setattr(memory, "send", send)
    return sent


HOOK = ("--webhook", "https://alerts.example.com/hook")


def test_a_kill_is_logged_and_told_once(run, alerts, capsys, monkeypatch):
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    assert [run(0, *HOOK), run(2, *HOOK), run(2, *HOOK)] == [0, 2, 2]
    told = {"services": [{"service": "minilm", "kills": 2, "total": 2}]}
    assert alerts == [(HOOK[1], "service_memory_kill", told)]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("<4>minilm: the kernel killed 2 of its processes for want of memory")


def test_an_alert_that_is_not_taken_is_sent_again(run, alerts):
    alerts.taken = False
    run(1, *HOOK)
    alerts.taken = True
    run(2, *HOOK)
    run(2, *HOOK)
    assert [item[2]["services"][0]["kills"] for item in alerts] == [1, 2]


def test_a_slot_that_stops_only_counts_and_the_timer_tells(run, alerts):
    assert run(1, "--only-count") == 1
    assert alerts == []
    run(0, *HOOK)
    assert alerts[0][2]["services"] == [{"service": "minilm", "kills": 1, "total": 1}]


def test_without_a_webhook_old_kills_are_not_told_later(run, alerts):
    assert run(3) == 3
    assert run(3, *HOOK) == 3
    assert alerts == []


def test_a_state_that_is_damaged_begins_anew(run, alerts, capsys):
    run.state.write_text("{", encoding="utf-8")
    assert run(1, *HOOK) == 1
    assert "what was counted before is forgotten" in capsys.readouterr().err


def test_a_slice_without_its_service_is_explained(capsys):
    with pytest.raises(SystemExit):
        _host_command.main(["memory", "--slice", "minilm", "--state", "s", "--metrics", "m"])
    assert "'minilm' is not SERVICE=SLICE" in capsys.readouterr().err
