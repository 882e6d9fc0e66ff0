# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealing: owner and mode, and fs-verity against a stand-in for the kernel.

The real kernel is asked by tools/verity_machine.py.
"""

from __future__ import annotations

import errno
import hashlib
import os
import struct

import pytest
from ansible_collections.modelops.serving.plugins.module_utils import _hashing, _seal
from ansible_collections.modelops.serving.plugins.module_utils._manifest import Manifest
from ansible_collections.modelops.serving.plugins.module_utils._proof import read_proof
from ansible_collections.modelops.serving.plugins.module_utils._snapshot import Choice, Snapshot
from ansible_collections.modelops.serving.plugins.module_utils._store import (
    Place,
    State,
    find_damage,
)
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    lock_of,
    make_source,
    write,
)

WEIGHTS = "model.safetensors"


class Kernel:
    """Stand-in for the two calls of fs-verity; the digest is of another form than the real one."""

    def __init__(self):
        self.digests = {}  # by inode
        self.refusal = 0
        self.enabled = []

    def ioctl(self, handle, request, argument):
        inode = os.fstat(handle).st_ino
        if self.refusal:
            raise OSError(self.refusal, os.strerror(self.refusal))
        if request == _seal.ENABLE_VERITY:
            assert struct.unpack_from("=III", argument) == (1, 1, 4096)
            if inode in self.digests:
                raise OSError(errno.EEXIST, "File exists")
            with open(handle, "rb", closefd=False) as stream:
                self.digests[inode] = hashlib.sha256(b"verity" + stream.read()).digest()
            self.enabled.append(inode)
            return 0
        assert request == _seal.MEASURE_VERITY
        if inode not in self.digests:
            raise OSError(errno.ENODATA, "No data available")
        struct.pack_into("=HH", argument, 0, 1, 32)
        argument[4:36] = self.digests[inode]
        return 0


@pytest.fixture
def kernel(monkeypatch):
    stand_in = Kernel()
    monkeypatch.setattr(_seal.fcntl, "ioctl", stand_in.ioctl)
    return stand_in


@pytest.fixture
def place(tmp_path):
    return Place(str(tmp_path / "store"), "modelscope", "owner/name", "v1.0.0")


@pytest.fixture
def present(hub_root, model_hub, model, place):
    """Run once: ``present(check_mode=False, **Choice)``."""
    write(hub_root / "owner" / "name", model)

    def run(check_mode=False, **choice):
        source = make_source(
            place.source, model_hub.url, retries=1, revision=place.revision, work=place.archive
        )
        return Snapshot(place, source, Choice(**choice)).present(check_mode)

    return run


def test_the_numbers_are_those_of_the_kernel():
    # As linux/fsverity.h gives them on x86-64 and arm64
    assert _seal.ENABLE_VERITY == 0x40806685
    assert _seal.MEASURE_VERITY == 0xC0046686


def test_digests_are_recorded_and_a_second_run_changes_nothing(present, kernel, place, model):
    outcome = present()
    proof = read_proof(place.proof)["seal"]
    assert proof["verity"] == "enabled"
    assert set(proof["digests"]) == set(model)
    assert outcome.to_dict()["seal"] == {"verity": "enabled"}
    assert outcome.warnings == []
    assert _seal.measured(place.path, proof) == set(model)
    assert len(kernel.enabled) == len(model)
    again = present()
    assert not again.changed
    assert again.to_dict()["seal"] == {"verity": "enabled"}
    assert len(kernel.enabled) == len(model)


@pytest.mark.parametrize("refusal", [errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.EACCES])
def test_a_host_without_verity_is_told_of_once(present, kernel, place, refusal):
    kernel.refusal = refusal
    first = present()
    assert read_proof(place.proof)["seal"] == {
        "verity": "unsupported",
        "reason": os.strerror(refusal),
    }
    assert [os.strerror(refusal) in text for text in first.warnings] == [True]
    second = present()
    assert (second.changed, second.warnings) == (False, [])
    assert second.to_dict()["seal"]["verity"] == "unsupported"


def test_another_failure_is_not_passed_over(present, kernel, place):
    kernel.refusal = errno.ENOSPC
    with pytest.raises(OSError, match="No space left"):
        present()
    assert not os.path.exists(place.path)


def test_only_what_was_fetched_again_is_new_to_the_kernel(present, kernel, place, model):
    present()
    before = read_proof(place.proof)["seal"]
    os.chmod(os.path.join(place.path, WEIGHTS), 0o644)
    with open(os.path.join(place.path, WEIGHTS), "r+b") as stream:
        stream.write(b"spoiled")
    kernel.enabled.clear()
    present()
    assert len(kernel.enabled) == 1
    assert read_proof(place.proof)["seal"] == before


def test_verity_that_was_lost_comes_back(present, kernel, place, model):
    present()
    del kernel.digests[os.stat(os.path.join(place.path, WEIGHTS)).st_ino]
    foreseen = present(check_mode=True)
    assert [item["reason"] for item in foreseen.files] == ["verity"]
    assert len(kernel.enabled) == len(model)
    assert present().files == foreseen.files
    assert len(kernel.enabled) == len(model) + 1
    assert not present().changed


def test_a_snapshot_without_a_record_is_protected_now(present, kernel, place, model):
    present()
    os.unlink(place.proof)
    kernel.digests.clear()
    outcome = present()
    assert (outcome.changed, outcome.fetched_bytes) == (True, 0)
    assert set(read_proof(place.proof)["seal"]["digests"]) == set(model)


@pytest.mark.parametrize(
    "record", [None, {}, [], {"verity": "enabled", "digests": []}, {"digests": {"other": "00"}}]
)
def test_a_record_that_says_nothing_protects_nothing(tmp_path, record):
    (tmp_path / "file").write_bytes(b"x")
    assert not _seal.is_protected(str(tmp_path), ["file"], record)
    assert _seal.measured(str(tmp_path), record) == set()


def test_a_file_that_the_kernel_refuses_is_different(tmp_path, model, monkeypatch):
    write(tmp_path, model)
    refused = str(tmp_path / WEIGHTS)
    real = _hashing.digest_file

    def read(path, *arguments):
        if path == refused:
            raise OSError(errno.EIO, "Input/output error")
        return real(path, *arguments)

    monkeypatch.setattr(_hashing, "digest_file", read)
    manifest = Manifest.from_dict(lock_of(model))
    found = find_damage(str(tmp_path), manifest, State("/nonexistent"), True)
    assert found.to_dict() == {"missing": [], "extra": [], "different": [WEIGHTS]}


def test_all_bytes_are_read_where_that_is_asked_for(tmp_path, model):
    write(tmp_path / "folder", model)
    manifest = Manifest.from_dict(lock_of(model))
    folder, path = str(tmp_path / "folder"), tmp_path / "folder" / WEIGHTS
    path.write_bytes(b"x" + model[WEIGHTS][1:])
    # As if the change had been made before the last look, so that size, times and inode agree
    State(str(tmp_path / "state")).write(folder, manifest, {})
    state = State(str(tmp_path / "state"))
    assert not find_damage(folder, manifest, state, False)
    assert find_damage(folder, manifest, state, True).different == (WEIGHTS,)
