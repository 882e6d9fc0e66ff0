# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file in the making: its hash, its bounds, and write errors that come late."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from contextlib import closing

import pytest
from ansible_collections.modelops.serving.plugins.module_utils import _part
from ansible_collections.modelops.serving.plugins.module_utils._part import Part

DATA = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Buffers of 1,000 bytes, so that a few kilobytes need many."""
    monkeypatch.setattr(_part, "CHUNK", 1000)


def put(part, data):
    for begin in range(0, len(data), 1000):
        piece = data[begin : begin + 1000]
        view = part.buffer()
        view[: len(piece)] = piece
        part.add(view, len(piece))


def test_what_is_written_is_hashed(tmp_path):
    with closing(Part(str(tmp_path / "x"), len(DATA), git=True)) as part:
        put(part, DATA)
        digest = part.finish()
    assert (tmp_path / "x").read_bytes() == DATA
    assert digest.value("sha256") == hashlib.sha256(DATA).hexdigest()
    git = hashlib.sha1(b"blob %d\0" % len(DATA) + DATA).hexdigest()
    assert digest.value("git_sha1") == git


def test_what_an_earlier_run_left_is_hashed_and_continued(tmp_path):
    (tmp_path / "x").write_bytes(DATA[:3333])
    with closing(Part(str(tmp_path / "x"))) as part:
        part.read_back(len(DATA))
        assert part.size == 3333
        put(part, DATA[3333:])
        assert part.finish().value("sha256") == hashlib.sha256(DATA).hexdigest()
    assert (tmp_path / "x").read_bytes() == DATA


def test_a_restart_forgets_all(tmp_path):
    with closing(Part(str(tmp_path / "x"))) as part:
        put(part, b"wrong" * 1000)
        part.restart()
        put(part, DATA)
        assert part.finish().value("sha256") == hashlib.sha256(DATA).hexdigest()
    assert (tmp_path / "x").read_bytes() == DATA


def test_slow_hashing_holds_the_writer_back(tmp_path, monkeypatch):
    """No more than BUFFERS buffers exist, however fast bytes arrive."""
    go = threading.Event()
    update = _part.FileDigest.update

    def slow(self, data):
        assert go.wait(30)
        update(self, data)

    with closing(Part(str(tmp_path / "x"))) as part:
        put(part, b"x" * 1000)  # the first is hashed by the writer itself
        monkeypatch.setattr(_part.FileDigest, "update", slow)
        views = set()

        def write():
            for _each in range(20):
                view = part.buffer()
                views.add(id(view.obj))
                part.add(view, 1000)

        writer = threading.Thread(target=write)
        writer.start()
        writer.join(0.3)
        assert writer.is_alive()
        assert part.size == (1 + _part.BUFFERS) * 1000
        go.set()
        writer.join(30)
        assert len(views) <= _part.BUFFERS + 1
        assert part.finish().size == 21_000


def test_a_write_that_fails_late_is_not_forgotten(tmp_path, monkeypatch):
    """The system reports a failed write-back once; the last sync would then succeed."""
    monkeypatch.setattr(_part, "FLUSH_BYTES", 1000)

    def fail(_handle):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(_part.os, "fdatasync", fail)
    with closing(Part(str(tmp_path / "x"))) as part:
        put(part, DATA)
        with pytest.raises(OSError, match="Input/output error"):
            part.finish()


def test_all_bytes_are_on_the_disk_at_the_end(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(
        _part.os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_size), fsync(handle))
    )
    with closing(Part(str(tmp_path / "x"))) as part:
        put(part, DATA)
        part.finish()
    assert synced == [len(DATA)]
