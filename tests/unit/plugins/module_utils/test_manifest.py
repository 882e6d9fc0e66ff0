# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests and locks: what is refused, what is kept, what differs."""

from __future__ import annotations

import copy
import json
import stat

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._manifest import (
    Manifest,
    ModelFile,
    read_manifest,
    safe_path,
    write_manifest,
)

HASH = "ab" * 32
LOCK = {
    "lock_version": 1,
    "source": "huggingface",
    "id": "owner/name",
    "revision": "v1",
    "commit": "c" * 40,
    "model": {"hidden_size": 4},
    "files": [
        {"path": "config.json", "size": 2, "sha256": HASH},
        {
            "path": "a/b.txt",
            "size": 0,
            "sha256": HASH,
            "source_hash": {"kind": "git_sha1", "value": "d" * 40},
        },
    ],
}


def changed(**changes):
    return {**copy.deepcopy(LOCK), **changes}


def with_file(**changes):
    return changed(files=[{"path": "config.json", "size": 2, "sha256": HASH, **changes}])


def test_a_manifest_is_the_same_after_a_round_trip_and_sorted():
    data = Manifest.from_dict(LOCK).to_dict()
    assert [item["path"] for item in data["files"]] == ["a/b.txt", "config.json"]
    assert list(data) == list(LOCK)
    assert Manifest.from_dict(data).to_dict() == data
    assert data["files"][0] == LOCK["files"][1]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "not a mapping"),
        (changed(lock_version=2), "lock_version 2"),
        (changed(revision=0.1), "'revision' as text"),
        (changed(id=""), "'id' as text"),
        (changed(model=[]), "'model' as a mapping"),
        (changed(files=[]), "at least one file"),
        (changed(files=["config.json"]), "not a mapping"),
        (with_file(path="/etc/passwd"), "unsafe path"),
        (with_file(path="../x"), "unsafe path"),
        (with_file(path="a/../../x"), "unsafe path"),
        (with_file(path="a//b"), "unsafe path"),
        (with_file(path="a\\b"), "unsafe path"),
        (with_file(path="a\nb"), "unsafe path"),
        (with_file(path=7), "unsafe path"),
        (with_file(size=-1), "size -1"),
        (with_file(size=True), "size True"),
        (with_file(size="2"), "size '2'"),
        (with_file(sha256=HASH[:-1]), "64 lower-case hex"),
        (with_file(sha256=HASH.upper()), "64 lower-case hex"),
        (with_file(source_hash={"kind": "md5", "value": "x"}), "source_hash"),
        (with_file(source_hash={"kind": "git_sha1", "value": HASH}), "source_hash"),
        (with_file(source_hash="x"), "source_hash"),
        (changed(files=[LOCK["files"][0]] * 2), "names 'config.json' twice"),
        (
            changed(files=[{**LOCK["files"][0], "path": p} for p in ("a", "a/b")]),
            "'a' as a file and as a folder",
        ),
    ],
)
def test_what_is_no_lock_is_refused_with_the_place(data, words):
    with pytest.raises(ModelError, match="The lock ") as caught:
        Manifest.from_dict(data)
    assert caught.value.code == ("unsafe_path" if words == "unsafe path" else "invalid_lock")
    assert words in caught.value.message


def test_paths_that_stay_inside_are_safe():
    assert all(safe_path(path) for path in ("a", "a/b", "..a", "a..", ".hidden", "名/字 x"))
    assert not any(safe_path(path) for path in ("", ".", "..", "a/", "./a", "/a", None))


def test_differences_are_named():
    manifest = Manifest.from_dict(LOCK)
    found = [
        ModelFile("config.json", 3, HASH),
        ModelFile("more.txt", 1, HASH),
    ]
    difference = manifest.compare(found)
    assert difference.to_dict() == {
        "missing": ["a/b.txt"],
        "extra": ["more.txt"],
        "different": ["config.json"],
    }
    assert difference
    assert not manifest.compare(manifest.files)


def test_a_manifest_on_disk_is_whole_or_absent(tmp_path):
    path = tmp_path / "m.json"
    manifest = Manifest.from_dict(LOCK)
    write_manifest(str(path), manifest)
    write_manifest(str(path), manifest)  # over a read-only one
    assert read_manifest(str(path)) == manifest
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert [item.name for item in tmp_path.iterdir()] == ["m.json"]
    assert next(iter(json.loads(path.read_text()))) == "lock_version"


def test_a_broken_manifest_is_named(tmp_path):
    path = tmp_path / "m.json"
    path.write_text('{"lock_version": 1')
    with pytest.raises(ModelError, match=str(path)) as caught:
        read_manifest(str(path))
    assert caught.value.code == "invalid_lock"
