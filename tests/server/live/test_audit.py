# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The audit log of a real gunicorn: its lines, its heads in the log, and a start without it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from gunicorn_process import Start
from model_server.security.audit_chain import Head, verify

pytestmark = pytest.mark.live


def test_the_heads_in_the_log_prove_the_file(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    server = start(sections={"audit": {"file": str(file), "input": "none"}})
    server.wait_ready()
    server.embed("a")
    server.embed("die")
    server.wait_until(lambda: server.embed("b")[0] == 200)
    server.process.terminate()
    assert server.process.wait(timeout=30) == 0
    heads = [
        Head(line["seq"], line["hash"]) for line in server.lines() if line["event"] == "audit_head"
    ]
    assert len(heads) == 4, "two workers, each at its start and at its stop"
    assert heads[0].seq == 0
    assert heads[1] == heads[2]
    chain = verify([file], heads[1])
    assert chain.damage is None
    assert chain.head == heads[3]
    assert stat.S_IMODE(file.stat().st_mode) == 0o640

    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]))
    cut = verify([file], heads[3]).damage
    assert cut is not None
    assert cut.what == "removed"


def test_an_audit_log_that_cannot_be_written_stops_the_service(start: Start) -> None:
    server = start(sections={"audit": {"file": "/nowhere/audit.jsonl", "input": "none"}})
    assert server.process.wait(timeout=60) == 3
    assert "/nowhere/audit.jsonl: cannot be written: No such file" in server.log.read_text()
