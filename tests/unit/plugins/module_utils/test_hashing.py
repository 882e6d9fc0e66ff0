# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hashes of files, one by one and on all cores."""

from __future__ import annotations

import hashlib
import threading

import pytest
from ansible_collections.modelops.serving.plugins.module_utils import _hashing
from ansible_collections.modelops.serving.plugins.module_utils._hashing import (
    digest_file,
    digest_files,
    sha256_file,
)


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 5000])
def test_a_file_is_hashed_whole_whatever_the_buffer(tmp_path, monkeypatch, size):
    monkeypatch.setattr(_hashing, "CHUNK", 1000)
    data = bytes(index % 251 for index in range(size))
    path = tmp_path / "file"
    path.write_bytes(data)
    steps = []
    digest = digest_file(str(path), size, steps.append)
    assert digest.value("sha256") == sha256_file(str(path)) == hashlib.sha256(data).hexdigest()
    assert digest.value("git_sha1") == hashlib.sha1(b"blob %d\0" % size + data).hexdigest()
    assert (digest.size, sum(steps)) == (size, size)


def test_several_files_are_hashed_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(_hashing, "cores", lambda: 3)
    for name in "abc":
        (tmp_path / name).write_bytes(name.encode() * 1000)
    together = threading.Barrier(3, timeout=30)  # broken unless three are under way together
    found = digest_files(
        {str(tmp_path / name): None for name in "abc"}, lambda _size: together.wait()
    )
    assert {path[-1]: digest.value("sha256") for path, digest in found.items()} == {
        name: hashlib.sha256(name.encode() * 1000).hexdigest() for name in "abc"
    }


def test_no_more_threads_than_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(_hashing, "cores", lambda: 2)
    for number in range(20):
        (tmp_path / str(number)).write_bytes(b"x")
    threads = set()
    wanted = {str(tmp_path / str(number)): None for number in range(20)}
    digest_files(wanted, lambda _size: threads.add(threading.get_ident()))
    assert 1 <= len(threads) <= 2


def test_a_file_that_is_gone_is_an_error(tmp_path):
    (tmp_path / "there").write_bytes(b"x")
    with pytest.raises(FileNotFoundError):
        digest_files({str(tmp_path / name): None for name in ("there", "gone")})


def test_no_file_is_no_work():
    assert digest_files({}) == {}
