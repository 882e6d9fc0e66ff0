# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that another snapshot has: linked after a look at their bytes, never fetched twice."""

from __future__ import annotations

import os

import pytest
from ansible_collections.modelops.serving.plugins.module_utils import _download, _shared
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._snapshot import (
    Choice,
    Snapshot,
    remove_snapshot,
)
from ansible_collections.modelops.serving.plugins.module_utils._store import Place
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    make_source,
    write,
)

WEIGHTS = "model.safetensors"


@pytest.fixture
def store(tmp_path):
    return str(tmp_path / "store")


@pytest.fixture
def present(hub_root, model_hub, model, store):
    """Make the snapshot of a revision from ModelScope; v2.0.0 has another README."""
    write(hub_root / "owner" / "name", model)
    write(hub_root / "owner" / "name@v2.0.0", {**model, "README.md": b"new"})
    write(hub_root / "owner" / "copy", model)

    def run(revision, check_mode=False, name="owner/name", **choice):
        place = Place(store, "modelscope", name, revision)
        source = make_source("modelscope", model_hub.url, id=name, revision=revision)
        return place, Snapshot(place, source, Choice(**choice)).present(check_mode)

    return run


def inode(place, path):
    return os.stat(os.path.join(place.path, path)).st_ino


def fetched(hub):
    return sorted({r["path"].rpartition("FilePath=")[2] for r in hub.journal.records()} - {""})


def test_what_another_revision_has_is_linked(present, model_hub, model):
    first, _outcome = present("v1.0.0")
    model_hub.journal.clear()
    second, outcome = present("v2.0.0")
    assert inode(first, WEIGHTS) == inode(second, WEIGHTS)
    assert inode(first, "README.md") != inode(second, "README.md")
    assert outcome.fetched_bytes == 3
    assert outcome.shared_bytes == sum(map(len, model.values())) - len(model["README.md"])
    reasons = {item["path"]: item["reason"] for item in outcome.files}
    assert (reasons[WEIGHTS], reasons["README.md"]) == ("shared", "new")
    assert not any(WEIGHTS in record["path"] for record in model_hub.journal.records())
    assert present("v2.0.0")[1].changed is False
    assert present("v1.0.0", verify="full")[1].changed is False


def test_another_model_may_have_the_bytes(present, store):
    first, _outcome = present("v1.0.0")
    other, outcome = present("v1.0.0", name="owner/copy")
    assert outcome.fetched_bytes == 0 and inode(first, WEIGHTS) == inode(other, WEIGHTS)
    remove_snapshot(first)
    assert present("v1.0.0", name="owner/copy", verify="full")[1].changed is False


def test_check_mode_counts_what_would_be_linked_and_writes_nothing(present, store):
    first, _outcome = present("v1.0.0")
    before = sorted(os.listdir(os.path.dirname(first.path)))
    _second, outcome = present("v2.0.0", check_mode=True)
    assert outcome.fetched_bytes == 3 and outcome.shared_bytes > 0
    assert sorted(os.listdir(os.path.dirname(first.path))) == before


def test_a_name_and_a_manifest_prove_nothing(present, model):
    """A file that was changed by hand is not taken although its manifest says it is right."""
    first, _outcome = present("v1.0.0")
    name = os.path.join(first.path, WEIGHTS)
    os.chmod(name, 0o644)
    with open(name, "r+b") as stream:
        stream.seek(200)
        stream.write(b"\xff\xff")
    second, outcome = present("v2.0.0")
    assert outcome.fetched_bytes == 3 + len(model[WEIGHTS])
    with open(os.path.join(second.path, WEIGHTS), "rb") as stream:
        assert stream.read() == model[WEIGHTS]
    assert inode(first, WEIGHTS) != inode(second, WEIGHTS)


@pytest.mark.parametrize("kind", ["gone", "link", "no manifest"])
def test_what_is_no_whole_file_is_not_taken(present, model, tmp_path, kind):
    first, _outcome = present("v1.0.0")
    name = os.path.join(first.path, WEIGHTS)
    if kind == "no manifest":
        os.unlink(first.manifest)
    else:
        os.chmod(first.path, 0o755)
        os.rename(name, tmp_path / "elsewhere")
        if kind == "link":
            os.symlink(tmp_path / "elsewhere", name)
    _second, outcome = present("v2.0.0")
    assert outcome.fetched_bytes >= len(model[WEIGHTS])


def test_what_is_damaged_here_may_be_whole_there(present, model):
    """A repair takes the bytes from another snapshot; a file of their own cannot be shared."""
    first, _outcome = present("v1.0.0")
    second, _outcome = present("v2.0.0")
    os.chmod(second.path, 0o755)
    os.unlink(os.path.join(second.path, WEIGHTS))
    outcome = present("v2.0.0")[1]
    assert (outcome.fetched_bytes, outcome.shared_bytes) == (0, len(model[WEIGHTS]))
    assert inode(first, WEIGHTS) == inode(second, WEIGHTS)


def test_without_links_blocks_are_shared_and_without_both_it_is_fetched(
    present, model, monkeypatch
):
    cloned = []

    def refuse(*_args, **_options):
        raise OSError(18, "Invalid cross-device link")

    def stand_in(source, target):
        """A stand-in for the kernel's FICLONE, which few file systems have."""
        cloned.append(os.path.basename(target))
        with open(source, "rb") as old, open(target, "xb") as new:
            new.write(old.read())
        return True

    present("v1.0.0")
    real_link = os.link
    monkeypatch.setattr(_shared.os, "link", refuse)
    monkeypatch.setattr(_shared, "clone", stand_in)
    _place, outcome = present("v2.0.0")
    assert WEIGHTS in cloned and outcome.fetched_bytes == 3
    monkeypatch.setattr(_shared, "clone", lambda _source, _target: False)
    _place, outcome = present("v1.0.0", name="owner/copy")
    assert (outcome.shared_bytes, outcome.fetched_bytes) == (0, sum(map(len, model.values())))
    monkeypatch.setattr(_shared.os, "link", real_link)


def test_a_clone_has_the_bytes_or_leaves_nothing(tmp_path):
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"bytes")
    if _shared.clone(str(source), str(target)):
        assert target.read_bytes() == b"bytes"
    else:
        assert not target.exists()


def test_room_is_asked_only_for_what_is_still_missing(present, model, store, monkeypatch):
    """Neither what is shared nor what an earlier run has fetched needs room again."""
    usage = type("Usage", (), {"free": 2})
    present("v1.0.0")
    with monkeypatch.context() as patch:
        patch.setattr(_download.shutil, "disk_usage", lambda _path: usage)
        with pytest.raises(ModelError) as caught:
            present("v2.0.0")
    assert caught.value.details["needed"] == len(b"new")

    place = Place(store, "modelscope", "owner/name", "v2.0.0")
    part = os.path.join(place.partial, "README.md.part")
    with open(part, "wb") as stream:
        stream.write(b"ne")
    monkeypatch.setattr(_download.shutil, "disk_usage", lambda _path: usage)
    _place, outcome = present("v2.0.0")
    assert outcome.fetched_bytes == 1
