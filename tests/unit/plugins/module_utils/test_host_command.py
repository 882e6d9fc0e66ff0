# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command modelops-host, called as its main function and as the packed program."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.modelops.serving.plugins.module_utils import (
    _hashing,
    _host_command,
    _zipapp,
)
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._host_command import (
    snapshot as checks,
)
from ansible_collections.modelops.serving.plugins.module_utils._host_command import store as reads
from ansible_collections.modelops.serving.plugins.module_utils._manifest import (
    Manifest,
    write_manifest,
)
from ansible_collections.modelops.serving.plugins.module_utils._proof import write_proof
from ansible_collections.modelops.serving.plugins.module_utils._seal import seal
from ansible_collections.modelops.serving.plugins.module_utils._store import Place, State
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    lock_of,
    write,
)

WEIGHTS = "model.safetensors"
main = _host_command.main


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def make(store, model):
    """Seal the tiny model in the store under a revision and return its place."""

    def run(revision="v1.0.0"):
        place = Place(str(store), "modelscope", "owner/name", revision)
        write(store / "modelscope" / "owner" / "name" / revision, model)
        manifest = Manifest.from_dict(lock_of(model, revision=revision))
        seal(place.path)
        write_manifest(place.manifest, manifest)
        State(place.state).write(place.path, manifest, {})
        return place

    return run


def spoil(place, path=WEIGHTS):
    """Change one byte, and put mode, size and times back."""
    name = os.path.join(place.path, path)
    was = os.stat(name)
    os.chmod(name, 0o644)
    with open(name, "r+b") as stream:
        stream.seek(was.st_size // 2)
        byte = stream.read(1)[0]
        stream.seek(was.st_size // 2)
        stream.write(bytes([byte ^ 0xFF]))
    os.chmod(name, 0o444)
    os.utime(name, ns=(was.st_atime_ns, was.st_mtime_ns))


class Receiver:
    """Stand-in for whoever takes alerts; ``refusals`` requests are answered with 503 first."""

    def __init__(self, refusals):
        self.alerts = []
        self.requests = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                receiver.requests += 1
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.requests <= refusals:
                    self.send_response(503)
                else:
                    receiver.alerts.append(json.loads(body))
                    self.send_response(204)
                self.end_headers()

            def log_message(self, *_args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook?secret=s3cret"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def receive():
    """Start receivers of alerts: ``receive(refusals=0)``."""
    started = []

    def start(refusals=0):
        started.append(Receiver(refusals))
        return started[-1]

    yield start
    for receiver in started:
        receiver.server.shutdown()
        receiver.server.server_close()


def test_a_right_snapshot_passes(make, tmp_path, capsys):
    place = make()
    link = tmp_path / "slot"
    link.symlink_to(place.path)
    assert main(["check", "--snapshot", str(link)]) == 0
    assert f"{place.path}: 4 files are right" in capsys.readouterr().out


def test_a_changed_byte_is_named_whatever_was_remembered(make, capsys):
    place = make()
    spoil(place)
    State(place.state).write(
        place.path, Manifest.from_dict(lock_of({WEIGHTS: b""}, revision="v1.0.0")), {}
    )
    assert main(["check", "--snapshot", place.path]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"{place.path}/{WEIGHTS} does not have the bytes of the manifest"
    assert "run the playbook" in lines[-1]
    assert len(lines) == 2


def test_each_kind_of_damage_has_a_line(make, capsys):
    place = make()
    os.chmod(place.path, 0o755)
    os.unlink(os.path.join(place.path, "README.md"))
    with open(os.path.join(place.path, "more.py"), "w", encoding="utf-8") as stream:
        stream.write("1")
    assert main(["check", "--snapshot", place.path, "--max-bytes", "0"]) == 3
    assert capsys.readouterr().err.splitlines()[:-1] == [
        f"{place.path}/README.md is missing",
        f"{place.path}/more.py does not belong there",
        f"{place.path} has another mode or owner than root's read-only",
        f"{place.path}/more.py has another mode or owner than root's read-only",
    ]


@pytest.mark.parametrize(("above", "status"), [(0, 3), (-1, 0)])
def test_large_snapshots_are_left_to_the_timer(make, capsys, model, above, status):
    place = make()
    spoil(place)
    limit = sum(len(data) for data in model.values()) + above
    assert main(["check", "--snapshot", place.path, "--max-bytes", str(limit)]) == status
    told = "so the timer hashes them" in capsys.readouterr().out
    assert told == (status == 0)


def test_protected_files_are_read_and_not_hashed(make, monkeypatch, capsys):
    place = make()
    write_proof(place.proof, {"seal": {"verity": "enabled", "digests": {WEIGHTS: "00"}}})
    monkeypatch.setattr(checks, "measured", lambda _folder, record: set(record["digests"]))
    hashed = []
    real = _hashing.digest_file

    def digest(name, *arguments):
        hashed.append(os.path.relpath(name, place.path))
        return real(name, *arguments)

    monkeypatch.setattr(_hashing, "digest_file", digest)
    assert main(["check", "--snapshot", place.path]) == 0
    assert sorted(hashed) == ["1_Pooling/config.json", "README.md", "config.json"]
    assert "1 of them by fs-verity" in capsys.readouterr().out


def test_a_protected_file_that_the_kernel_refuses_is_named(make, monkeypatch, capsys):
    place = make()
    write_proof(place.proof, {"seal": {"verity": "enabled", "digests": {WEIGHTS: "00"}}})
    monkeypatch.setattr(checks, "measured", lambda _folder, record: set(record["digests"]))

    def refuse(name, *_arguments, **_options):
        assert name == os.path.join(place.path, WEIGHTS)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(checks, "open", refuse, raising=False)
    real = _hashing.digest_file
    monkeypatch.setattr(
        _hashing,
        "digest_file",
        lambda name, *rest: (refuse if name.endswith(WEIGHTS) else real)(name, *rest),
    )
    assert main(["check", "--snapshot", place.path]) == 3
    assert f"{place.path}/{WEIGHTS} does not" in capsys.readouterr().err


def test_without_a_manifest_nothing_is_right(tmp_path, capsys):
    assert main(["check", "--snapshot", str(tmp_path)]) == 3
    assert "has no manifest beside it" in capsys.readouterr().err


def test_a_manifest_that_is_none_ends_with_another_status(make, capsys):
    place = make()
    os.unlink(place.manifest)
    with open(place.manifest, "w", encoding="utf-8") as stream:
        stream.write("{")
    assert main(["check", "--snapshot", place.path]) == 1
    assert "is not JSON" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["check"], ["check", "--snapshot", "x", "--max-bytes=-1"]]
)
def test_wrong_arguments_are_explained(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: modelops-host" in capsys.readouterr().err


def test_every_snapshot_is_read_and_the_others_go_on(make, store, receive, capsys, monkeypatch):
    broken, gone, whole = make("v1.0.0"), make("v2.0.0"), make("v3.0.0")
    spoil(broken)
    os.unlink(gone.manifest)
    with open(gone.manifest, "w", encoding="utf-8") as stream:
        stream.write("[]")
    receiver = receive()
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    assert main(["verify", "--store", str(store), "--webhook", receiver.url]) == 3
    told = capsys.readouterr()
    assert told.err.splitlines()[0] == (
        f"<3>{broken.path}/{WEIGHTS} does not have the bytes of the manifest"
    )
    assert all(line.startswith("<3>") for line in told.err.splitlines())
    assert f"{gone.path} is damaged (The manifest" in told.err
    assert whole.path not in told.err
    assert "3 snapshots were read, 2 are damaged" in told.out
    (alert,) = receiver.alerts
    assert alert["event"] == "model_snapshot_damaged"
    assert [item["path"] for item in alert["snapshots"]] == [broken.path, gone.path]
    first = alert["snapshots"][0]
    assert (first["id"], first["revision"]) == ("owner/name", "v1.0.0")
    assert first["different"] == [WEIGHTS]


def test_a_whole_store_raises_no_alarm(make, store, receive, capsys):
    make()
    receiver = receive()
    assert main(["verify", "--store", str(store), "--webhook", receiver.url]) == 0
    assert receiver.requests == 0
    assert capsys.readouterr().err == ""


def test_an_alert_is_tried_again_and_its_address_can_be_kept_in_a_file(
    make, store, receive, tmp_path, capsys
):
    spoil(make())
    receiver = receive(refusals=2)
    (tmp_path / "webhook").write_text(receiver.url + "\n", encoding="utf-8")
    arguments = ["verify", "--store", str(store), "--webhook-file", str(tmp_path / "webhook")]
    assert main(arguments) == 3
    assert (receiver.requests, len(receiver.alerts)) == (3, 1)


@pytest.mark.parametrize("webhook", ["receiver", "ftp://example.test/s3cret"])
def test_an_alert_that_is_not_taken_is_told_without_the_secret(
    make, store, receive, capsys, webhook
):
    spoil(make())
    webhook = receive(refusals=99).url if webhook == "receiver" else webhook
    assert main(["verify", "--store", str(store), "--webhook", webhook]) == 3
    told = capsys.readouterr().err
    assert "The alert was not delivered" in told
    assert "s3cret" not in told


def test_a_store_that_cannot_be_listed_is_not_right(tmp_path, capsys):
    assert main(["verify", "--store", str(tmp_path / "nowhere")]) == 1
    assert "verify could not finish" in capsys.readouterr().err


def test_a_snapshot_that_is_replaced_meanwhile_is_read_again(make, model, monkeypatch):
    place = make()
    spoil(place)
    real = reads.compare

    def repair_then_compare(*arguments, **options):
        found = real(*arguments, **options)
        os.chmod(os.path.join(place.path, WEIGHTS), 0o644)
        with open(os.path.join(place.path, WEIGHTS), "wb") as stream:
            stream.write(model[WEIGHTS])
        os.chmod(os.path.join(place.path, WEIGHTS), 0o444)
        write_manifest(place.manifest, Manifest.from_dict(lock_of(model)))
        return found

    monkeypatch.setattr(reads, "compare", repair_then_compare)
    assert reads.look(place.path) is None


def test_folders_in_the_making_are_no_snapshots(make, store):
    place = make()
    write(store / "modelscope" / "owner" / "name" / "v2.0.0.partial", {"a.manifest.json": b"{}"})
    assert list(reads.sealed(str(store))) == [place.path]


def test_the_program_is_the_same_each_time_and_runs_alone(make, tmp_path):
    program = _zipapp.build("_host_command", sys.executable)
    assert program == _zipapp.build("_host_command", sys.executable)
    assert program.startswith(f"#!{sys.executable} -I\n".encode())
    path = tmp_path / "modelops-host"
    path.write_bytes(program)
    path.chmod(0o755)
    place = make()

    def run():
        return subprocess.run(
            [str(path), "check", "--snapshot", place.path],
            capture_output=True,
            text=True,
            env={"PYTHONPATH": str(tmp_path / "nowhere")},
            check=False,
        )

    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    spoil(place)
    done = run()
    assert done.returncode == 3
    assert WEIGHTS in done.stderr
    listed = _zipapp.contents(program)
    with open(reads.__file__, "rb") as source:
        entry = hashlib.sha256(source.read()).hexdigest()
    assert f"{entry} modelops_host/_host_command/store.py" in listed
    # Nothing that fetches, scans or speaks with Ansible
    assert not {"_module", "_http", "_sources", "_scan", "_snapshot"} & {
        part.partition(".")[0] for line in listed.splitlines() for part in line.split("/")
    }


def test_something_else_at_its_place_is_said_to_be_so():
    assert "not a program of this collection" in _zipapp.contents(b"#!/bin/sh\nexit 0\n")


def test_a_package_that_is_none_is_refused():
    with pytest.raises(ModelError, match="_nothing cannot be read"):
        _zipapp.build("_nothing", "/usr/bin/python3")
