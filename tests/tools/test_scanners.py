# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""How findings of scanners are read, and held against the document that answers them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

# Found only after the line above
from tools import scanners  # noqa: E402
from tools.scanners import Finding  # noqa: E402

DOCUMENT = """# Findings

## testssl.sh 3.0.8

| finding | where | answer |
|---|---|---|
| `BREACH` | all | accepted |

## lynis 3.0.8

| finding | where | answer |
|---|---|---|
| `SSH-7408` | sshd | of the environment |
"""


def test_testssl_counts_from_medium_on() -> None:
    entries = [
        {"id": name, "severity": severity, "finding": "text"}
        for name, severity in (("one", "OK"), ("two", "LOW"), ("three", "MEDIUM"), ("four", "HIGH"))
    ]
    found = list(scanners.testssl_findings(json.dumps(entries)))
    assert [each.name for each in found] == ["three", "four"]


def test_gixy_counts_all() -> None:
    entry = {"plugin": "host_spoofing", "severity": "LOW", "summary": "Text.", "reason": "Why."}
    assert list(scanners.gixy_findings(json.dumps([entry]))) == [
        Finding("gixy-next", "host_spoofing", "LOW", "Text. Why.")
    ]


def test_lynis_counts_warnings_and_suggestions() -> None:
    lines = ["index=60", "warning[]=PKGS-7392|Old packages|-|-|", "suggestion[]=SSH-7408|Tune|a|b|"]
    text = "\n".join(lines)
    assert list(scanners.lynis_findings(text)) == [
        Finding("lynis", "PKGS-7392", "WARNING", "Old packages"),
        Finding("lynis", "SSH-7408", "SUGGESTION", "Tune"),
    ]


def test_a_finding_without_a_row_in_its_own_section_is_open() -> None:
    answers = scanners.answered(DOCUMENT)
    assert answers == {"testssl.sh": {"BREACH"}, "lynis": {"SSH-7408"}}
    known = Finding("testssl.sh", "BREACH", "MEDIUM", "")
    elsewhere = Finding("lynis", "BREACH", "WARNING", "")
    of_no_section = Finding("gixy-next", "BREACH", "HIGH", "")
    assert scanners.unanswered([known, elsewhere, of_no_section], answers) == [
        elsewhere,
        of_no_section,
    ]


def test_no_answer_is_there_twice() -> None:
    text = scanners.ANSWERS.read_text(encoding="utf-8")
    assert set(scanners.answered(text)) == set(scanners.SCANS)
