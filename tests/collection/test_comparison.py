# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The comparison with a tutorial's configuration: its table, its judge, and the pages about it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = ROOT / "molecule" / "as_written"
ROWS: list[dict[str, Any]] = yaml.safe_load(
    (SCENARIO / "vars" / "comparison.yml").read_text(encoding="utf-8")
)["comparison"]
KEYS = {"id", "moment", "place", "run", "as_written", "ours"}
MOMENTS = {"written", "zone_moved", "deployed", "stopped", "pressed"}


def judge(answers: dict[str, dict[str, str]]) -> subprocess.CompletedProcess[str]:
    """Hold answers to two rows against what they must be."""
    rows = [
        {"id": "first", "run": "one", "as_written": r"\A403$", "ours": r"\A200$"},
        {"id": "second", "run": "two", "as_written": "^exit 1"},
    ]
    command = [sys.executable, str(SCENARIO / "files" / "judge.py")]
    given = json.dumps({"rows": rows, "answers": answers})
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False)


def test_rows_are_told_apart_and_asked_at_a_known_moment() -> None:
    assert len({row["id"] for row in ROWS}) == len(ROWS) >= 30
    for row in ROWS:
        assert set(row) <= KEYS
        assert row["moment"] in MOMENTS
        assert row["place"] in {"host", "client", "controller"}
        for side in {"as_written", "ours"} & set(row):
            re.compile(row[side])


@pytest.mark.parametrize("name", ["comparison.md", "comparison.zh-CN.md"])
def test_each_row_is_told_in_words(name: str) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    told = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert sorted(told) == sorted(row["id"] for row in ROWS)


def test_answers_as_expected_pass() -> None:
    done = judge({"as_written": {"first": "403\n", "second": "exit 1"}, "ours": {"first": "200\n"}})
    assert done.returncode == 0, done.stdout
    assert "all 2 rows are as expected" in done.stdout


@pytest.mark.parametrize(
    ("as_written", "ours", "says"),
    [
        ({"first": "200\n", "second": "exit 1"}, {"first": "200\n"}, "first, as_written: no match"),
        ({"first": "403\n", "second": "exit 1"}, {"first": "403\n"}, "first, ours: no match"),
        ({"first": "403\n"}, {"first": "200\n"}, "second, as_written: was not asked"),
    ],
)
def test_a_fault_that_does_not_show_fails(
    as_written: dict[str, str], ours: dict[str, str], says: str
) -> None:
    done = judge({"as_written": as_written, "ours": ours})
    assert done.returncode == 1
    assert says in done.stdout
