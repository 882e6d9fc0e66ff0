# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The audit log: what a line tells; its chain outlives rotation, crashes and full disks."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import os
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from fakes import FakeEngine
from model_server.records import RequestRecord
from model_server.security.audit import AuditLog
from model_server.security.audit_chain import AuditError, Chain, verify
from model_server.settings import AuditSettings
from support import Service

KEY = "k" * 32


def audit_log(file: Path, keep: str = "hash", **options: Any) -> AuditLog:
    settings = AuditSettings(file=file, input=keep)  # type: ignore[arg-type]
    return AuditLog(settings, KEY, lambda: 1_800_000_000.25, **options)


def record(number: int = 1, **fields: Any) -> RequestRecord:
    defaults = {"route": "/predict", "status": 200, "address": "192.0.2.1", "client": "demo"}
    return RequestRecord(f"request-{number}", "POST", **{**defaults, **fields})


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def whole(*files: Path) -> Chain:
    chain = verify(files)
    assert chain.damage is None, str(chain.damage)
    return chain


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def test_a_line_tells_who_did_what(file: Path) -> None:
    audit_log(file)(record(seconds=0.0123, tokens=9, inputs=["你好", "a"], code="ok"))
    (line,) = lines(file)
    hashed = [
        hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest() for text in ("你好", "a")
    ]
    assert {name: value for name, value in line.items() if name != "hash"} == {
        "seq": 1,
        "time": "2027-01-15T08:00:00.250Z",
        "kind": "request",
        "request_id": "request-1",
        "client": "demo",
        "address": "192.0.2.1",
        "method": "POST",
        "route": "/predict",
        "status": 200,
        "code": "ok",
        "inputs": 2,
        "characters": 3,
        "tokens": 9,
        "milliseconds": 12.3,
        "input": [
            {"characters": 2, "hmac_sha256": hashed[0]},
            {"characters": 1, "hmac_sha256": hashed[1]},
        ],
        "previous": "0" * 64,
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_an_input_is_kept_as_the_operator_says(file: Path) -> None:
    text = "ring 13800138000 \ud800"
    for keep in ("none", "hash", "masked"):
        log = audit_log(file, keep)
        log(record(inputs=[text]))
        log.close()
    none, hashed, masked = lines(file)
    assert "input" not in none
    assert none["characters"] == len(text)
    assert "text" not in str(hashed)
    assert masked["input"] == ["ring [phone] \ud800"]
    assert "13800138000" not in file.read_text()
    assert whole(file).lines == 3


def test_probes_are_left_out_and_refusals_are_not(engine: FakeEngine, file: Path) -> None:
    service = Service(engine, file.parent, audit={"file": str(file), "input": "masked"}).load()
    for path in ("/health", "/ready", "/metrics"):
        service.client.get(path)
    service.client.get("/v1/models")
    service.client.get("/no/such/13800138000")
    service.embed(["mail a@example.com", "b"])
    service.embed("poison")
    service.runtime.stop(timeout=5)
    refused, unknown, good, failed = lines(file)
    assert (refused["status"], refused["client"]) == (401, None)
    assert (unknown["status"], unknown["route"]) == (404, "unmatched")
    assert (good["client"], good["inputs"], good["tokens"]) == ("demo", 2, 7)
    assert good["input"] == ["mail [email]", "b"]
    assert (failed["status"], failed["code"], failed["inputs"]) == (500, "engine_error", 1)
    assert "13800138000" not in file.read_text()
    whole(file)


def test_a_request_that_fails_is_500_with_its_id_and_the_next_one_works(service: Service) -> None:
    for path, body in (
        ("/v1/embeddings", {"model": "all-MiniLM-L6-v2", "input": "poison"}),
        ("/predict", {"task_type": "embedding", "input_text": "nan"}),
    ):
        failed = service.post(path, body, **{"X-Request-ID": "mine"})
        assert failed.status_code == 500
        assert failed.json["error"]["request_id"] == "mine"
        assert service.embed("a").status_code == 200


def test_the_chain_goes_on_after_a_restart(file: Path) -> None:
    for number in range(3):
        log = audit_log(file)
        log.start()
        log(record(number))
        log.close()
    assert [line["seq"] for line in lines(file)] == [1, 2, 3]
    whole(file)


@pytest.mark.parametrize("length", [0, 1, 70_000])
def test_the_last_line_is_found_in_a_long_file(file: Path, length: int) -> None:
    for _turn in range(3):
        log = audit_log(file, "masked")
        log(record(inputs=["啊" * length] * 10))
        log.close()
    assert whole(file).head.seq == 3


@pytest.mark.parametrize("torn", [b'{"seq": 3, "ti', b"\0" * 200_000, b"x"])
def test_a_torn_line_is_cut_and_said(file: Path, torn: bytes) -> None:
    log = audit_log(file)
    log(record(1))
    log(record(2))
    log.close()
    with file.open("ab") as end:
        end.write(torn)
    assert verify([file]).damage is not None
    log = audit_log(file)
    log.start()
    log(record(3))
    log.close()
    assert [line["kind"] for line in lines(file)] == ["request", "request", "recovered", "request"]
    assert lines(file)[2]["torn_bytes"] == len(torn)
    whole(file)


def test_a_changed_end_is_not_continued(file: Path) -> None:
    file.write_text('{"seq": 1}\n')
    with pytest.raises(AuditError, match="verify-audit"):
        audit_log(file).start()


def test_a_file_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="No such file"):
        audit_log(tmp_path / "nowhere" / "audit.jsonl").start()


def test_a_second_writer_is_refused(file: Path) -> None:
    first = audit_log(file)
    first.start()
    with pytest.raises(AuditError, match="another process"):
        audit_log(file).start()
    first.close()


def test_a_renamed_file_is_left_and_the_chain_goes_on_in_a_new_one(file: Path) -> None:
    log = audit_log(file)
    log(record(1))
    old = file.rename(f"{file}.1")
    log(record(2))
    log.close()
    assert lines(file)[0]["previous"] == lines(old)[0]["hash"]
    assert whole(old, file).lines == 2
    assert whole(file).first == 2, "old files may be gone"


@pytest.mark.parametrize("created", [True, False])
def test_the_chain_goes_on_when_the_file_was_renamed_before_the_start(
    file: Path, created: bool
) -> None:
    log = audit_log(file)
    log(record(1))
    log.close()
    packed = Path(f"{file}-20270115.gz")
    packed.write_bytes(gzip.compress(file.read_bytes()))
    file.unlink()
    if created:
        file.touch()
    log = audit_log(file)
    log.start()
    log(record(2))
    log.close()
    assert whole(packed, file).head.seq == 2


def test_files_that_were_renamed_empty_do_not_hide_the_end_of_the_chain(file: Path) -> None:
    log = audit_log(file)
    log(record())
    log.close()
    file.rename(file.with_name("audit.jsonl.2"))
    os.utime(file.with_name("audit.jsonl.2"), (1, 1))
    with gzip.open(file.with_name("audit.jsonl.1.gz"), "wb"):
        pass
    audit_log(file)(record(2))
    parts = [file.with_name("audit.jsonl.2"), file.with_name("audit.jsonl.1.gz"), file]
    assert whole(*parts).lines == 2


def test_a_renamed_file_is_followed_before_the_next_request(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_server.security.audit._SYNC_SECONDS", 0.01)
    log = audit_log(file)
    log.start()
    log(record())
    file.rename(file.with_name("audit.jsonl.1"))
    deadline = time.monotonic() + 10
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    followed = file.exists()
    log(record(2))
    log.close()
    assert followed
    assert (file.stat().st_mode & 0o777) & ~0o640 == 0
    assert whole(file.with_name("audit.jsonl.1"), file).lines == 2


def test_a_full_disk_fails_no_request_and_the_gap_is_said(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = []
    log = audit_log(file, on_failure=lambda: failures.append(1))
    log(record(1))
    write = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:10]))
        with capture_logs() as logs:
            log(record(2))
            log(record(3))
    assert len(failures) == 2
    assert [line["event"] for line in logs] == ["audit_failed"], "said once, not for each request"
    log(record(4))
    log.close()
    kinds = [(line["kind"], line.get("lost_requests")) for line in lines(file)]
    assert kinds == [("request", None), ("recovered", 2), ("request", None)]
    assert lines(file)[1]["torn_bytes"] == 10
    whole(file)


def test_a_lost_line_is_counted(engine: FakeEngine, tmp_path: Path) -> None:
    service = Service(engine, tmp_path, audit={"file": str(tmp_path), "input": "none"}).load()
    assert service.embed("a").status_code == 200
    text = service.client.get("/metrics").get_data(as_text=True)
    assert "model_server_audit_failures_total 1.0" in text
    service.runtime.stop(timeout=5)


def test_the_head_is_logged_at_start_each_thousand_lines_and_at_stop(file: Path) -> None:
    with capture_logs() as logs:
        log = audit_log(file)
        log.start()
        for number in range(1001):
            log(record(number))
        log.close()
    heads = [line for line in logs if line["event"] == "audit_head"]
    assert [head["seq"] for head in heads] == [0, 1000, 1001]
    assert heads[1]["hash"] == lines(file)[999]["hash"]


def test_lines_reach_the_disk_in_the_background(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = threading.Event()
    sync = os.fdatasync
    monkeypatch.setattr("model_server.security.audit._SYNC_SECONDS", 0.01)
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (sync(descriptor), synced.set()))
    log = audit_log(file)
    log.start()
    assert not synced.wait(0.1), "nothing was written"
    log(record(1))
    assert synced.wait(10)
    log.close()


def test_many_threads_write_one_chain(file: Path) -> None:
    log = audit_log(file)

    def write() -> None:
        for number in range(50):
            log(record(number, inputs=["text"]))

    threads = [threading.Thread(target=write) for _turn in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert whole(file).lines == 400
