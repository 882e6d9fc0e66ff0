# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks: what is fetched to make one, what it says, and what differs from an earlier one."""

from __future__ import annotations

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._lock import (
    check_moved,
    compare,
    resolve,
)
from ansible_collections.modelops.serving.plugins.module_utils._manifest import Manifest
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    lock_of,
    make_source,
    write,
)

WEIGHTS = "model.safetensors"


@pytest.fixture
def hub(hub_root, model_hub, model):
    """The test hub with the tiny model."""
    write(hub_root / "owner" / "name", model)
    return model_hub


def lock_from(kind, endpoint, tmp_path, include=(), exclude=(), **options):
    source = make_source(kind, endpoint, work=str(tmp_path / "work"), hash_all=True, **options)
    return resolve(kind, source, list(include), list(exclude))


@pytest.mark.parametrize("kind", ["modelscope", "huggingface", "http", "path"])
def test_every_source_leads_to_the_same_files(hub, kind, model, tmp_path):
    endpoints = {
        "modelscope": hub.url,
        "huggingface": hub.url,
        "http": hub.url + "/store",
        "path": write(tmp_path / "m", model),
    }
    lock, fetched = lock_from(kind, endpoints[kind], tmp_path)
    assert not Manifest.from_dict(lock_of(model)).compare(lock.files)
    assert (lock.source, lock.id, lock.revision) == (kind, "owner/name", "v1.0.0")
    assert (lock.model["hidden_size"], lock.model["parameters"]) == (4, 100_000)
    small = sum(len(data) for path, data in model.items() if path != WEIGHTS)
    assert fetched == (small if kind == "huggingface" else 0)
    assert Manifest.from_dict(lock.to_dict()) == lock


def test_the_header_of_the_weights_is_read_and_checked(hub, tmp_path):
    hub.faults.add("corrupt", WEIGHTS, count=-1)
    with pytest.raises(ModelError, match="its header") as caught:
        lock_from("modelscope", hub.url, tmp_path)
    assert caught.value.code == "weights_invalid"


def test_the_choice_of_files_and_what_is_refused(hub, hub_root, tmp_path):
    lock, _fetched = lock_from("modelscope", hub.url, tmp_path, exclude=["1_*", "*.md"])
    assert [item.path for item in lock.files] == ["config.json", WEIGHTS]
    write(hub_root / "owner" / "bad", {"config.json": b"{}", "README.md": b"x"})
    with pytest.raises(ModelError) as caught:
        lock_from("modelscope", hub.url, tmp_path, id="owner/bad")
    assert caught.value.code == "model_incomplete"


def test_pickles_can_be_locked(hub, hub_root, tmp_path):
    # whether they may be fetched is for the policy of the snapshot to say
    write(hub_root / "owner" / "old", {"config.json": b"{}", "pytorch_model.bin": b"x"})
    lock, _fetched = lock_from("modelscope", hub.url, tmp_path, id="owner/old")
    assert [item.path for item in lock.files] == ["config.json", "pytorch_model.bin"]
    assert lock.model["weights_format"] == "pickle"


def test_a_git_hash_is_checked_before_it_becomes_a_sha256(hub, tmp_path):
    hub.faults.add("corrupt", "config.json", count=-1)
    with pytest.raises(ModelError) as caught:
        lock_from("huggingface", hub.url, tmp_path)
    assert (caught.value.code, caught.value.details["kind"]) == ("hash_mismatch", "git_sha1")


def test_differences_between_locks_are_named(model):
    old = Manifest.from_dict(lock_of(model))
    assert compare(old, old)["same"]
    del model["README.md"]
    new = {**model, "config.json": b"{}", "vocab.txt": b"a"}
    assert compare(old, Manifest.from_dict(lock_of(new, commit="c2"))) == {
        "same": False,
        "added": ["vocab.txt"],
        "removed": ["README.md"],
        "changed": ["config.json"],
        "commit": {"before": "v1.0.0", "after": "c2"},
    }


def moved(old, new):
    """Return the differences that make ``new`` a move of ``old``, none if it is no move."""
    try:
        check_moved(Manifest.from_dict(old), Manifest.from_dict(new), "locks/a.yml")
    except ModelError as error:
        assert error.code == "lock_moved"
        assert "The hub moved, you did not" in error.message and "locks/a.yml" in error.message
        return error.details["differences"]
    return None


ALL = {"include": [], "exclude": [], "subfolder": ""}


def test_other_bytes_for_the_same_revision_are_a_move(model):
    old = lock_of(model, selection=ALL)
    assert moved(old, old) is None
    new = lock_of({**model, "config.json": b"{}"}, selection=ALL, commit="c2")
    assert moved(old, new)["changed"] == ["config.json"]
    assert moved(old, {**new, "revision": "v2"}) is None
    assert moved(old, {**new, "id": "owner/other"}) is None
    assert moved(old, {**new, "source": "http"}) is None


def test_another_commit_is_a_move_even_if_the_files_are_the_same(model):
    old = lock_of(model, selection=ALL)
    assert moved(old, {**old, "commit": "c2"})["commit"] == {"before": "v1.0.0", "after": "c2"}


def test_files_that_come_or_go_at_the_source_are_a_move(model):
    more = {**model, "vocab.txt": b"a"}
    short, long = lock_of(model, selection=ALL), lock_of(more, selection=ALL)
    assert moved(short, long)["added"] == ["vocab.txt"]
    assert moved(long, short)["removed"] == ["vocab.txt"]


def test_another_choice_of_files_is_no_move(model):
    fewer = {path: data for path, data in model.items() if path != "README.md"}
    whole = lock_of(model, selection=ALL)
    chosen = lock_of(fewer, selection={**ALL, "exclude": ["*.md"]})
    assert moved(whole, chosen) is None
    assert moved(chosen, whole) is None
    # A lock that does not say what was chosen cannot show that an added file is new.
    assert moved(lock_of(fewer), whole) is None


def test_a_move_shows_through_another_choice_of_files(model):
    whole = lock_of(model, selection=ALL)
    chosen = lock_of(
        {"config.json": b"{}", WEIGHTS: model[WEIGHTS]},
        selection={**ALL, "include": ["config.json", WEIGHTS]},
    )
    assert moved(whole, chosen)["changed"] == ["config.json"]


def test_each_file_says_how_the_source_proves_it(hub, model, tmp_path):
    def kinds(kind, endpoint):
        lock, _fetched = lock_from(kind, endpoint, tmp_path)
        assert all(
            item["source_hash"].get("value", item["sha256"]) for item in lock.to_dict()["files"]
        )
        return {item.path: item.source_hash.kind for item in lock.files}

    assert set(kinds("modelscope", hub.url).values()) == {"sha256"}
    assert kinds("huggingface", hub.url) == {
        **dict.fromkeys(model, "git_sha1"),
        WEIGHTS: "sha256",
    }
    assert set(kinds("path", write(tmp_path / "m", model)).values()) == {"none"}
