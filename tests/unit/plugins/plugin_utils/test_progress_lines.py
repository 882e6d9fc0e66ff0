# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The line about a transfer: when it comes, and what it says."""

from __future__ import annotations

import json

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._progress import Meter
from ansible_collections.modelops.serving.plugins.plugin_utils.progress import (
    Lines,
    describe,
    duration,
    read_figures,
    size,
)


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def figures(**changed):
    return {"phase": "fetching", "done": 0, "total": 1000, "rate": 0, **changed}


def test_a_line_comes_after_the_pace_and_then_at_the_pace():
    clock = Clock()
    lines = Lines("web1", 5, clock)
    shown = []
    for second in range(17):
        clock.now = second
        shown.append(bool(lines.line(json.dumps(figures(done=second)))))
    assert [second for second, line in enumerate(shown) if line] == [5, 10, 15]


def test_a_line_names_the_host_and_what_the_meter_counted(tmp_path):
    clock = Clock()
    path = tmp_path / "progress"
    lines, meter = Lines("web1", 2, clock), Meter(str(path), clock)
    meter.begin("fetching", 4 << 20)
    clock.now = 2.0
    meter.add(1 << 20)
    line = lines.line(path.read_text())
    assert line == "web1: fetching 25.0% of 4.0 MiB, 512.0 KiB/s, 0:06 left"


def test_what_stands_still_is_said_so():
    clock = Clock()
    lines = Lines("web1", 2, clock)
    text = json.dumps(figures(done=500, percent=50.0, rate=100, left=5.0))
    lines.line(text)
    clock.now = 2.0
    assert lines.line(text) == "web1: fetching 50.0% of 1000 B, no byte since the last line"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"phase": "listing", "total": None}, "listing the files"),
        ({"phase": "sealing", "total": None}, "sealing"),
        ({"total": None, "done": 2048, "rate": 1024}, "fetching 2.0 KiB, 1.0 KiB/s"),
        ({"percent": 0.0, "left": None}, "fetching 0.0% of 1000 B, 0 B/s"),
    ],
)
def test_what_is_unknown_is_not_said(changed, said):
    assert describe(figures(**changed)) == said


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", '{"done": "many"}', '{"left": [1]}'])
def test_a_file_that_is_no_progress_shows_nothing(text):
    assert read_figures(text) == {}
    assert Lines("web1", 0, Clock()).line(text) == ""


def test_units():
    assert [size(count) for count in (0, 1023, 1536, 5 << 30, 3 << 50)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5.0 GiB",
        "3072.0 TiB",
    ]
    assert [duration(seconds) for seconds in (0.4, 59.6, 3599, 7265)] == [
        "0:00",
        "1:00",
        "59:59",
        "2:01:05",
    ]
