# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One file on its way to disk: resuming, comparing, giving up."""

from __future__ import annotations

import hashlib
import io
import threading

import pytest
from ansible_collections.modelops.serving.plugins.module_utils import _download
from ansible_collections.modelops.serving.plugins.module_utils._download import (
    Expected,
    Stopped,
    Stream,
    Watch,
    download,
)
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._hashing import digest_file
from ansible_collections.modelops.serving.plugins.module_utils._manifest import SourceHash
from ansible_collections.modelops.serving.plugins.module_utils._progress import Meter
from ansible_collections.modelops.serving.plugins.module_utils._retry import Backoff, TransientError

DATA = bytes(range(256)) * 4096  # 1 MiB: several chunks
SHA256 = hashlib.sha256(DATA).hexdigest()
RIGHT = Expected(len(DATA), SourceHash("sha256", SHA256))


class Server:
    """Answer from ``bodies`` in turn, the last one for ever; each is (data, bytes until a cut)."""

    def __init__(self, *bodies, ranges=True, announce=True):
        self.bodies = list(bodies)
        self.offsets = []
        self._ranges = ranges
        self._announce = announce

    def open(self, offset):
        self.offsets.append(offset)
        data, cut = self.bodies.pop(0) if len(self.bodies) > 1 else self.bodies[0]
        begin = offset if self._ranges else 0
        total = len(data) if self._announce else None
        return Stream(io.BytesIO(data[begin:cut]), begin, total, "the server")


def fetch(tmp_path, server, expected=RIGHT, retries=2):
    backoff = Backoff(retries, sleep=lambda _seconds: None)
    return download("model.bin", server.open, str(tmp_path / "model.bin"), expected, backoff)


def test_a_file_arrives_with_its_hash(tmp_path):
    done = fetch(tmp_path, Server((DATA, None)))
    assert (done.size, done.sha256, done.received) == (len(DATA), SHA256, len(DATA))
    assert (tmp_path / "model.bin").read_bytes() == DATA
    assert [item.name for item in tmp_path.iterdir()] == ["model.bin"]


def test_a_cut_is_continued_where_it_happened(tmp_path):
    server = Server((DATA, 300_000), (DATA, 700_000), (DATA, None))
    done = fetch(tmp_path, server)
    assert server.offsets == [0, 300_000, 700_000]
    assert done.received == len(DATA)
    assert (tmp_path / "model.bin").read_bytes() == DATA


def test_progress_gives_new_patience(tmp_path):
    cuts = [(DATA, end) for end in range(100_000, 1_000_000, 100_000)]
    fetch(tmp_path, Server(*cuts, (DATA, None)), retries=1)
    assert (tmp_path / "model.bin").read_bytes() == DATA


def test_a_part_of_an_earlier_run_is_continued_and_hashed(tmp_path):
    (tmp_path / "model.bin.part").write_bytes(DATA[:500_000])
    server = Server((DATA, None))
    done = fetch(tmp_path, server)
    assert server.offsets == [500_000]
    assert done.received == len(DATA) - 500_000
    assert done.sha256 == SHA256


def test_a_whole_part_needs_no_request(tmp_path):
    (tmp_path / "model.bin.part").write_bytes(DATA)
    server = Server((DATA, None))
    fetch(tmp_path, server)
    assert server.offsets == []


def test_a_part_that_is_too_long_is_thrown_away(tmp_path):
    (tmp_path / "model.bin.part").write_bytes(DATA + b"x")
    server = Server((DATA, None))
    fetch(tmp_path, server)
    assert server.offsets == [0]


def test_a_wrong_part_costs_one_clean_restart(tmp_path):
    (tmp_path / "model.bin.part").write_bytes(b"x" * 500_000)
    server = Server((DATA, None))
    fetch(tmp_path, server)
    assert server.offsets == [500_000, 0]
    assert (tmp_path / "model.bin").read_bytes() == DATA


def test_a_server_without_ranges_begins_anew(tmp_path):
    server = Server((DATA, 300_000), (DATA, None), ranges=False)
    done = fetch(tmp_path, server)
    assert done.received == len(DATA) + 300_000
    assert (tmp_path / "model.bin").read_bytes() == DATA


def test_a_server_without_ranges_that_always_cuts_is_given_up(tmp_path):
    server = Server((DATA, 300_000), ranges=False)
    with pytest.raises(TransientError, match="after 300000 of 1048576 bytes"):
        fetch(tmp_path, server)
    assert len(server.offsets) == 3
    assert not (tmp_path / "model.bin").exists()
    assert (tmp_path / "model.bin.part").exists()


def test_wrong_bytes_are_fetched_once_more_and_then_refused(tmp_path):
    wrong = b"x" + DATA[1:]
    server = Server((wrong, None))
    with pytest.raises(ModelError) as caught:
        fetch(tmp_path, server)
    assert caught.value.code == "hash_mismatch"
    assert caught.value.details == {
        "file": "model.bin",
        "kind": "sha256",
        "expected": SHA256,
        "found": hashlib.sha256(wrong).hexdigest(),
    }
    assert server.offsets == [0, 0]
    assert list(tmp_path.iterdir()) == []


def test_bytes_that_were_wrong_once_are_healed(tmp_path):
    fetch(tmp_path, Server((b"x" + DATA[1:], None), (DATA, None)))
    assert (tmp_path / "model.bin").read_bytes() == DATA


def test_an_announced_wrong_size_is_refused_before_the_bytes(tmp_path):
    server = Server((DATA + b"x", None))
    with pytest.raises(ModelError) as caught:
        fetch(tmp_path, server)
    assert caught.value.code == "size_mismatch"
    assert (caught.value.details["expected"], caught.value.details["found"]) == (1048576, 1048577)
    assert server.offsets == [0]


def test_more_bytes_than_expected_are_refused(tmp_path):
    with pytest.raises(ModelError) as caught:
        fetch(tmp_path, Server((DATA * 2, None), announce=False))
    assert caught.value.code == "size_mismatch"
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_unknown_size_ends_with_the_stream(tmp_path):
    done = fetch(tmp_path, Server((DATA, None), announce=False), Expected())
    assert done.sha256 == SHA256


def test_an_empty_file_needs_no_request(tmp_path):
    empty = Expected(0, SourceHash("sha256", hashlib.sha256().hexdigest()))
    server = Server((b"", None))
    assert fetch(tmp_path, server, empty).size == 0
    assert (tmp_path / "model.bin").read_bytes() == b""


def test_a_git_hash_is_checked(tmp_path):
    # git hash-object of a file that holds "hello\n"
    right = SourceHash("git_sha1", "ce013625030ba8dba906f756967f9e9ca394464a")
    done = fetch(tmp_path, Server((b"hello\n", None)), Expected(6, right))
    assert done.sha256 == hashlib.sha256(b"hello\n").hexdigest()
    assert digest_file(str(tmp_path / "model.bin"), 6).value("git_sha1") == right.value
    with pytest.raises(ModelError, match="git_sha1"):
        fetch(tmp_path, Server((b"hallo\n", None)), Expected(6, right))


def test_a_full_disk_is_seen_before_the_bytes(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(_download.shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(ModelError) as caught:
        fetch(tmp_path, Server((DATA, None)))
    assert caught.value.code == "disk_full"
    assert (tmp_path / "model.bin.part").stat().st_size == 0


def test_waiting_grows_with_failures_and_heeds_the_server(monkeypatch):
    monkeypatch.undo()  # the real waiting times
    waits = []
    backoff = Backoff(5, sleep=waits.append, jitter=lambda: 1.0)
    for _each in range(4):
        backoff.wait(TransientError("x"))
    backoff.wait(TransientError("x", retry_after=30))
    assert waits == [0.5, 1.0, 2.0, 4.0, 30]
    with pytest.raises(TransientError):
        backoff.wait(TransientError("x"))
    backoff.reset()
    backoff.wait(TransientError("x", retry_after=10_000))
    assert waits[-1] == 60


def test_who_is_no_longer_wanted_stops_and_keeps_what_came(tmp_path):
    stop = threading.Event()
    meter = Meter()
    meter.add = lambda _size, _host="": stop.set()
    server = Server((DATA, None))
    watch = Watch(meter, stop)
    with pytest.raises(Stopped):
        download("model.bin", server.open, str(tmp_path / "model.bin"), RIGHT, Backoff(2), watch)
    size = (tmp_path / "model.bin.part").stat().st_size
    assert 0 < size < len(DATA)
    fetch(tmp_path, server)
    assert server.offsets == [0, size]
    assert (tmp_path / "model.bin").read_bytes() == DATA


def test_the_meter_ends_at_the_size_however_often_it_began(tmp_path):
    (tmp_path / "model.bin.part").write_bytes(b"x" * 500_000)
    meter = Meter()
    meter.begin("fetching", len(DATA))
    server = Server((DATA, 700_000), (DATA, 300_000), (DATA, None))
    backoff = Backoff(2, sleep=lambda _seconds: None)
    target = str(tmp_path / "model.bin")
    done = download("model.bin", server.open, target, RIGHT, backoff, Watch(meter))
    assert meter.figures()["done"] == len(DATA)
    assert done.received > len(DATA)
