# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look at a snapshot says: every difference by its kind, and nothing read without need."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.modelops.serving.plugins.module_utils import _seal, _store
from ansible_collections.modelops.serving.plugins.module_utils._info import inspect
from ansible_collections.modelops.serving.plugins.module_utils._manifest import Manifest
from ansible_collections.modelops.serving.plugins.module_utils._snapshot import Choice, Snapshot
from ansible_collections.modelops.serving.plugins.module_utils._store import Place
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    lock_of,
    make_source,
    write,
)

NONE = {"missing": [], "extra": [], "different": [], "mode": [], "links": []}


@pytest.fixture
def place(tmp_path, model):
    """A sealed snapshot of the tiny model."""
    at = Place(str(tmp_path / "store"), "path", "owner/name", "v1.0.0")
    lock = Manifest.from_dict(lock_of(model, source="path"))
    Snapshot(at, make_source("path", write(tmp_path / "m", model)), Choice(lock=lock)).present()
    return at


def opened(place, path=""):
    """Return a path of the snapshot after its folder was made writable."""
    full = os.path.join(place.path, path)
    os.chmod(os.path.dirname(full) if path else full, 0o755)
    return full


def test_a_sealed_snapshot_has_no_difference(place):
    report = inspect(place.path, None, full=True)
    assert report.exists and report.matches and report.differences() == NONE


def test_every_kind_of_difference_is_named(place, tmp_path):
    os.unlink(opened(place, "README.md"))
    os.chmod(opened(place, "config.json"), 0o644)
    with open(os.path.join(place.path, "config.json"), "w", encoding="utf-8") as stream:
        stream.write("{}")
    os.symlink("/etc/hostname", opened(place, "1_Pooling/extra.json"))
    weights = os.path.join(place.path, "model.safetensors")
    os.rename(weights, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", weights)
    report = inspect(place.path, None, full=False)
    assert not report.matches
    assert report.differences() == {
        "missing": ["README.md"],
        "extra": ["1_Pooling/extra.json"],
        "different": ["config.json", "model.safetensors"],
        "mode": [".", "1_Pooling", "config.json"],
        "links": ["1_Pooling/extra.json", "model.safetensors"],
    }


def test_a_wrong_mode_alone_is_a_difference_but_no_mismatch(place):
    os.chmod(os.path.join(place.path, "config.json"), 0o664)
    report = inspect(place.path, None, full=False)
    assert report.matches
    assert report.differences() == {**NONE, "mode": ["config.json"]}


def test_a_wrong_owner_is_a_difference_for_root(place, monkeypatch):
    if os.geteuid() == 0:
        os.chown(os.path.join(place.path, "config.json"), 65534, 0)
    monkeypatch.setattr(_seal.os, "geteuid", lambda: 0)
    assert "config.json" in inspect(place.path, None, full=False).differences()["mode"]


def test_a_lock_adds_its_own_differences(place, model):
    lock = Manifest.from_dict(lock_of({**model, "config.json": b"{}", "vocab.txt": b"a"}))
    found = inspect(place.path, lock, full=False).differences()
    assert found == {**NONE, "missing": ["vocab.txt"], "different": ["config.json"]}


def test_the_proof_is_shown(place):
    os.chmod(place.proof, 0o644)
    with open(place.proof, "w", encoding="utf-8") as stream:
        json.dump({"seal": {"kind": "fsverity"}}, stream)
    assert inspect(place.path, None, full=False).proof == {"seal": {"kind": "fsverity"}}
    os.unlink(place.proof)
    assert inspect(place.path, None, full=False).proof == {}


def test_nothing_there_and_nothing_known(place):
    os.unlink(place.manifest)
    report = inspect(place.path, None, full=False)
    assert report.exists and not report.matches and report.manifest is None
    absent = inspect(place.path + "x", None, full=False)
    assert not absent.exists and absent.differences() == NONE and absent.proof == {}


def test_no_byte_is_read_of_what_looks_unchanged(place, monkeypatch):
    def refuse(*args, **_options):
        raise AssertionError(args)

    monkeypatch.setattr(_store, "digest_files", refuse)
    assert inspect(place.path, None, full=False).matches
    with pytest.raises(AssertionError):
        inspect(place.path, None, full=True)
