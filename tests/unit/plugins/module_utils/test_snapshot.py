# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot: what is put in place, chosen, agreed, and left behind."""

from __future__ import annotations

import os
import stat

import pytest
from ansible_collections.modelops.serving.plugins.module_utils import _download
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._snapshot import (
    Choice,
    Snapshot,
)
from ansible_collections.modelops.serving.plugins.module_utils._store import Place
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    WEIGHTS,
    contents,
    make_source,
    tree,
    write,
)


def test_a_snapshot_is_whole_sealed_and_described(present, place, model):
    outcome = present()
    assert outcome.changed
    assert outcome.fetched_bytes == sum(len(data) for data in model.values())
    assert {item["path"]: item["reason"] for item in outcome.files} == dict.fromkeys(model, "new")
    assert contents(place) == model
    for parent, _folders, names in os.walk(place.path):
        assert stat.S_IMODE(os.stat(parent).st_mode) == 0o555
        assert {stat.S_IMODE(os.stat(os.path.join(parent, n)).st_mode) for n in names} == {0o444}
    assert outcome.manifest.model["hidden_size"] == 4
    assert outcome.manifest.model["parameters"] == 100_000
    beside = set(os.listdir(os.path.dirname(place.path)))
    assert beside == {
        "v1.0.0",
        "v1.0.0.manifest.json",
        "v1.0.0.proof.json",
        "v1.0.0.state.json",
    }


def test_a_second_run_changes_nothing_and_asks_nobody(present, hub, place):
    first = present()
    marks = {p: os.stat(os.path.join(place.path, p)).st_ctime_ns for p in tree(place.path)}
    state = os.stat(place.state).st_mtime_ns
    hub.journal.clear()
    for verify in ("auto", "full"):
        second = present(verify=verify)
        assert not second.changed
        assert (second.fetched_bytes, second.files) == (0, [])
        assert second.manifest == first.manifest
        assert second.diff()["before"] == second.diff()["after"]
    assert hub.journal.records() == []
    assert marks == {p: os.stat(os.path.join(place.path, p)).st_ctime_ns for p in tree(place.path)}
    assert os.stat(place.state).st_mtime_ns == state


def test_wrong_modes_are_set_again(present, place):
    present()
    os.chmod(os.path.join(place.path, WEIGHTS), 0o644)
    assert present(check_mode=True).files == [{"path": ".", "size": None, "reason": "mode"}]
    outcome = present()
    assert (outcome.changed, outcome.fetched_bytes) == (True, 0)
    assert stat.S_IMODE(os.stat(os.path.join(place.path, WEIGHTS)).st_mode) == 0o444
    assert not present().changed


def test_check_mode_says_what_would_happen_and_writes_nothing(present, place, tmp_path, model):
    outcome = present(check_mode=True)
    assert outcome.changed
    assert outcome.fetched_bytes == sum(len(data) for data in model.values())
    assert {item["path"] for item in outcome.files} == set(model)
    assert f"{len(model[WEIGHTS]):>12} {WEIGHTS}\n" in outcome.diff()["after"]
    assert outcome.diff()["before"] == ""
    assert not (tmp_path / "store").exists()


def test_a_run_that_fails_leaves_nothing_complete_and_the_next_goes_on(present, hub, place, model):
    hub.faults.add("cut", WEIGHTS, count=-1)
    with pytest.raises(ModelError):
        hub.faults.add("no_range", WEIGHTS, count=-1)
        present()
    assert not os.path.lexists(place.path)
    assert not os.path.lexists(place.manifest)
    half = len(model[WEIGHTS]) // 2
    assert os.path.getsize(os.path.join(place.partial, WEIGHTS + ".part")) == half
    hub.faults.clear()
    outcome = present()
    assert outcome.fetched_bytes == len(model[WEIGHTS]) - half
    assert [item["path"] for item in outcome.files] == [WEIGHTS]
    assert contents(place) == model
    assert not os.path.lexists(place.partial)


def test_an_untrue_part_of_the_past_is_thrown_away(present, place, model):
    write_partial = os.path.join(place.partial, "sub")
    os.makedirs(write_partial)
    for name in ("sub/old.txt", "config.json", WEIGHTS + ".part"):
        with open(os.path.join(place.partial, name), "w") as stream:
            stream.write("from another time")
    os.makedirs(os.path.join(place.partial, "README.md"))
    os.chmod(place.partial, 0o555)
    present()
    assert contents(place) == model


def test_include_and_exclude_choose(present, place, model):
    chosen = {"include": ("*.json", "*.safetensors"), "exclude": ("1_Pooling/",)}
    present(**chosen)
    assert set(contents(place)) == {"config.json", WEIGHTS}
    assert not present(**chosen).changed
    outcome = present(exclude=("*.md",))
    assert [item["path"] for item in outcome.files] == ["1_Pooling/config.json"]
    with pytest.raises(ModelError, match="include and exclude"):
        present(include=("absent",))


def test_a_branch_that_moved_is_followed(present, tmp_path, hub_root, hub, model):
    at = Place(str(tmp_path / "store"), "modelscope", "owner/name", "master")
    first = present(at=at, floating=True)
    assert not present(at=at, floating=True).changed
    write(hub_root / "owner" / "name", {"README.md": b"new"})
    second = present(at=at, floating=True)
    assert [item["path"] for item in second.files] == ["README.md"]
    assert second.fetched_bytes == 3
    assert first.manifest.commit != second.manifest.commit
    assert contents(at) == {**model, "README.md": b"new"}


def test_a_full_disk_is_said_before_the_first_byte(present, hub, place, monkeypatch):
    usage = type("Usage", (), {"free": 100_000})
    monkeypatch.setattr(_download.shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(ModelError) as caught:
        present()
    assert (caught.value.code, caught.value.details["free"]) == ("disk_full", 100_000)
    assert not any("FilePath" in record["path"] for record in hub.journal.records())
    assert os.listdir(place.store) == []


def test_huggingface_hashes_are_kept(hub, tmp_path):
    at = Place(str(tmp_path / "store"), "huggingface", "owner/name", "v1.0.0")
    outcome = Snapshot(at, make_source("huggingface", hub.url), Choice()).present()
    kinds = {
        item.path: item.source_hash and item.source_hash.kind for item in outcome.manifest.files
    }
    assert kinds[WEIGHTS] is None
    assert kinds["config.json"] == "git_sha1"
    again = Snapshot(at, make_source("huggingface", hub.url), Choice(floating=True)).present()
    assert not again.changed
