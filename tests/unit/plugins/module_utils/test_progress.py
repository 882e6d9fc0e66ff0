# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The meter: its figures, its file, and what it says of a transfer."""

from __future__ import annotations

import json
import threading

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._progress import Meter


class Clock:
    """A clock that stands until it is set."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_the_figures_follow_from_bytes_and_time(clock):
    meter = Meter(clock=clock)
    meter.begin("fetching", 1000)
    clock.now += 2
    meter.add(200)
    assert meter.figures() == {
        "phase": "fetching",
        "done": 200,
        "total": 1000,
        "seconds": 2.0,
        "rate": 100,
        "left": 8.0,
        "percent": 20.0,
    }


def test_what_is_not_known_is_null(clock):
    meter = Meter(clock=clock)
    meter.begin("listing", None)
    figures = meter.figures()
    assert (figures["total"], figures["left"], figures["percent"]) == (None, None, None)


def test_bytes_of_an_earlier_run_count_but_do_not_speed_up(clock):
    meter = Meter(clock=clock)
    meter.begin("fetching", 1000)
    meter.skip(500)
    clock.now += 5
    meter.add(100)
    figures = meter.figures()
    assert (figures["done"], figures["rate"], figures["left"]) == (600, 20, 20.0)
    meter.skip(-600)
    assert meter.figures()["done"] == 0


def test_the_file_is_whole_and_written_at_a_pace(clock, tmp_path):
    path = tmp_path / "progress"
    meter = Meter(str(path), clock)
    meter.begin("verifying", 10)
    assert json.loads(path.read_text()) == meter.figures()
    clock.now += 0.1
    meter.add(1)
    assert json.loads(path.read_text())["done"] == 0
    clock.now += 0.5
    meter.add(1)
    assert json.loads(path.read_text())["done"] == 2
    assert [item.name for item in tmp_path.iterdir()] == ["progress"]


def test_a_transfer_is_remembered_when_the_next_phase_begins(clock):
    meter = Meter(clock=clock)
    assert meter.transfer() is None
    meter.begin("fetching", 30)
    clock.now += 3
    meter.add(20, "a.example")
    meter.add(10, "b.example")
    meter.received(7, "a.example")
    meter.begin("sealing", None)
    clock.now += 100
    found = meter.transfer()
    assert (found["phase"], found["done"], found["seconds"]) == ("fetching", 30, 3.0)
    assert found["hosts"] == {"a.example": 27, "b.example": 10}


def test_several_threads_may_count(tmp_path):
    meter = Meter(str(tmp_path / "progress"))
    meter.begin("fetching", 4000)

    def count():
        for _each in range(1000):
            meter.add(1, "host")

    threads = [threading.Thread(target=count) for _each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert meter.figures()["done"] == 4000
    assert meter.transfer()["hosts"] == {"host": 4000}
