# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What make soak decides by itself; the machine is booted by make soak only."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools import soak, verity_guest, verity_machine  # noqa: E402
from tools.report import Failure  # noqa: E402

# What Linux 6.1 measured (FS_IOC_MEASURE_VERITY) for the model of the guest
MEASURED = {
    "config.json": "9b538ebc1a66ca1ee841169f981729429224f090e280bb4f9abbb5228b48a3fb",
    "model.safetensors": "ebfdba8327b2e6e0317cd58edb470b793d4842f57c56a391980ff41daa799b93",
}


def test_digests_are_computed_as_the_kernel_does(tmp_path: Path) -> None:
    verity_guest.make_model(str(tmp_path / "model"))
    computed = {name: verity_guest.file_digest(str(tmp_path / "model" / name)) for name in MEASURED}
    assert computed == MEASURED


def output(checks: dict[str, Any], ended: int = 0) -> str:
    record = json.dumps({"kernel": "6.1", "digests": {}, "checks": checks})
    # The firmware leaves signs for a terminal before the first line
    return f"\x1bc\x1b[?7l\x1b[2JGUEST RECORD {record}\r\nGUEST ENDED {ended}\r\n"


def test_a_record_counts_when_all_in_it_is_true() -> None:
    assert verity_machine.judge(output({"sealed": True}))["checks"] == {"sealed": True}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (output({"sealed": True, "refused": False}), "not as it should be: refused"),
        (output({"sealed": True}, ended=1), "did not come to its end"),
        (output({}), "did not come to its end"),
        ("Kernel panic", "Kernel panic"),
        (output({"sealed": True}) * 2, "did not come to its end"),
    ],
)
def test_all_else_is_a_failure(text: str, says: str) -> None:
    with pytest.raises(Failure, match=says):
        verity_machine.judge(text)


def test_each_part_leaves_a_record(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(soak, "RECORDS", tmp_path)
    monkeypatch.setattr(soak, "PARTS", {"tiny": lambda: {"found": 1}})
    soak.run_part("tiny")
    record = json.loads((tmp_path / "tiny.json").read_text(encoding="utf-8"))
    assert record["result"] == {"found": 1}
    assert record["command"] == "make soak PART=tiny"
