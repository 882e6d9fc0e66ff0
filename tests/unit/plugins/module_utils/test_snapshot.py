# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store: what is put in place, what is repaired, what is refused, and what is left behind."""

from __future__ import annotations

import multiprocessing
import os
import stat
import sys

import pytest
from ansible_collections.modelops.serving.plugins.module_utils import _download
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._info import inspect
from ansible_collections.modelops.serving.plugins.module_utils._manifest import Manifest
from ansible_collections.modelops.serving.plugins.module_utils._snapshot import (
    Choice,
    Snapshot,
    remove_snapshot,
)
from ansible_collections.modelops.serving.plugins.module_utils._store import Place
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    gguf,
    lock_of,
    make_source,
    weights,
    write,
)

WEIGHTS = "model.safetensors"


@pytest.fixture
def hub(hub_root, model_hub, model):
    """The test hub with the tiny model."""
    write(hub_root / "owner" / "name", model)
    return model_hub


@pytest.fixture
def place(tmp_path):
    return Place(str(tmp_path / "store"), "modelscope", "owner/name", "v1.0.0")


@pytest.fixture
def present(hub, place):
    """Run once: ``present(check_mode=False, **Choice, endpoint=..., archive...)``."""

    def run(check_mode=False, at=place, endpoint=hub.url, retries=1, **choice):
        source = make_source(
            at.source, endpoint, retries=retries, revision=at.revision, work=at.archive
        )
        return Snapshot(at, source, Choice(**choice)).present(check_mode)

    return run


def tree(folder):
    return {
        os.path.relpath(os.path.join(parent, name), folder)
        for parent, _folders, names in os.walk(folder)
        for name in names
    }


def contents(place):
    found = {}
    for path in tree(place.path):
        with open(os.path.join(place.path, path), "rb") as stream:
            found[path] = stream.read()
    return found


def spoil(place, path, data=b"spoiled", keep_times=False):
    """Write ``data`` into a sealed file."""
    name = os.path.join(place.path, path)
    status = os.stat(name)
    os.chmod(name, 0o644)
    with open(name, "wb") as stream:
        stream.write(data)
    if keep_times:
        os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.chmod(name, 0o444)


def unseal(place):
    for parent, _folders, _names in os.walk(place.path):
        os.chmod(parent, 0o755)


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


@pytest.mark.parametrize("verify", ["auto", "full"])
def test_a_changed_file_is_fetched_again_alone(present, hub, place, model, verify):
    present()
    spoil(place, WEIGHTS, b"x" + model[WEIGHTS][1:], keep_times=True)
    hub.journal.clear()
    outcome = present(verify=verify)
    assert outcome.files == [
        {"path": WEIGHTS, "size": len(model[WEIGHTS]), "reason": "different"},
    ]
    assert outcome.fetched_bytes == len(model[WEIGHTS])
    assert contents(place) == model
    # the lone file is redirected to the CDN; no list was asked for
    assert len(hub.journal.records()) == 2
    assert not present().changed


def test_all_kinds_of_damage_are_repaired_at_once(present, place, model):
    present()
    unseal(place)
    spoil(place, "config.json", b"{}")
    os.unlink(os.path.join(place.path, "1_Pooling/config.json"))
    os.rmdir(os.path.join(place.path, "1_Pooling"))
    os.symlink("/etc", os.path.join(place.path, "1_Pooling"))
    with open(os.path.join(place.path, "more.txt"), "w") as stream:
        stream.write("more")
    before = present(check_mode=True)
    outcome = present()
    assert before.files == outcome.files
    assert {item["path"]: item["reason"] for item in outcome.files} == {
        "1_Pooling/config.json": "missing",
        "config.json": "different",
        "1_Pooling": "extra",
        "more.txt": "extra",
    }
    assert contents(place) == model
    assert not present().changed


def test_wrong_modes_are_set_again(present, place):
    present()
    os.chmod(os.path.join(place.path, WEIGHTS), 0o644)
    assert present(check_mode=True).files == [{"path": ".", "size": None, "reason": "mode"}]
    outcome = present()
    assert (outcome.changed, outcome.fetched_bytes) == (True, 0)
    assert stat.S_IMODE(os.stat(os.path.join(place.path, WEIGHTS)).st_mode) == 0o444
    assert not present().changed


def test_a_lost_manifest_costs_a_list_but_no_file(present, place, hub):
    first = present()
    os.unlink(place.manifest)
    outcome = present()
    assert (outcome.changed, outcome.fetched_bytes) == (True, 0)
    assert outcome.manifest == first.manifest


def test_a_touched_file_is_hashed_and_kept(present, place):
    present()
    os.utime(os.path.join(place.path, WEIGHTS))
    assert not present().changed


def test_check_mode_says_what_would_happen_and_writes_nothing(present, place, tmp_path, model):
    outcome = present(check_mode=True)
    assert outcome.changed
    assert outcome.fetched_bytes == sum(len(data) for data in model.values())
    assert {item["path"] for item in outcome.files} == set(model)
    assert f"{len(model[WEIGHTS]):>12} {WEIGHTS}\n" in outcome.diff()["after"]
    assert outcome.diff()["before"] == ""
    assert not (tmp_path / "store").exists()


def test_a_lock_decides_and_saves_the_list(present, place, hub, lock, model):
    outcome = present(lock=lock)
    assert contents(place) == model
    assert not any("/repo/files" in record["path"] for record in hub.journal.records())
    assert not lock.compare(outcome.manifest.files)
    assert not present(lock=lock).changed


def test_a_lock_with_fewer_files_takes_fewer(present, place, model):
    present()
    del model["README.md"]
    outcome = present(lock=Manifest.from_dict(lock_of(model)))
    assert outcome.files == [{"path": "README.md", "size": 24, "reason": "extra"}]
    assert outcome.fetched_bytes == 0
    assert contents(place) == model


def test_bytes_that_are_not_those_of_the_lock_are_refused(present, place, model, hub):
    wrong = {**model, WEIGHTS: b"x" + model[WEIGHTS][1:]}
    with pytest.raises(ModelError) as caught:
        present(lock=Manifest.from_dict(lock_of(wrong)))
    assert caught.value.code == "hash_mismatch"
    assert caught.value.details["file"] == WEIGHTS
    assert not os.path.lexists(place.path)
    assert not os.path.lexists(place.manifest)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": "owner/other"}, "owner/other, not of owner/name"),
        ({"revision": "v2", "commit": "v2"}, "revision v2, not of v1.0.0"),
    ],
)
def test_the_lock_of_another_model_is_refused(present, model, changes, words):
    with pytest.raises(ModelError, match=words) as caught:
        present(lock=Manifest.from_dict(lock_of(model, **changes)))
    assert caught.value.code == "lock_mismatch"


def test_bytes_may_come_from_another_source_than_the_lock(present, hub, tmp_path, lock, model):
    at = Place(str(tmp_path / "store"), "http", "owner/name", "v1.0.0")
    present(at=at, lock=lock, endpoint=hub.url + "/store")
    assert contents(at) == model
    assert not any("manifest" in record["path"] for record in hub.journal.records())


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


def test_a_repair_that_fails_leaves_no_manifest(present, hub, place):
    present()
    spoil(place, WEIGHTS)
    hub.faults.add("status_403", WEIGHTS, count=-1)
    with pytest.raises(ModelError):
        present()
    report = inspect(place.path, None, full=False)
    assert (report.exists, report.matches, report.manifest) == (True, False, None)
    hub.faults.clear()
    assert present().changed
    assert inspect(place.path, None, full=True).matches


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


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"README.md": b"x"}, "model_incomplete"),
        ({"config.json": b"{}", "README.md": b"x"}, "model_incomplete"),
        ({"config.json": b"{}", "pytorch_model.bin": b"x"}, "unsafe_weights"),
        ({"config.json": b"{}", "a/model.pt": b"x", "x.pkl": b"x"}, "unsafe_weights"),
        ({WEIGHTS: weights(4)}, "model_incomplete"),
        ({"config.json": b"{broken", WEIGHTS: weights(4)}, "model_incomplete"),
        (
            {
                "config.json": b"{}",
                "model-00001-of-00002.safetensors": weights(4),
                "model.safetensors.index.json": b'{"weight_map": {'
                b'"a": "model-00001-of-00002.safetensors",'
                b'"b": "model-00002-of-00002.safetensors"}}',
            },
            "model_incomplete",
        ),
    ],
)
def test_what_is_no_safe_whole_model_is_refused(tmp_path, files, code):
    at = Place(str(tmp_path / "store"), "path", "owner/bad", "v1.0.0")
    source = make_source("path", write(tmp_path / "bad", files), id="owner/bad")
    with pytest.raises(ModelError) as caught:
        Snapshot(at, source, Choice(allow_unverified=("*",))).present()
    assert caught.value.code == code
    assert not os.path.lexists(at.path)


def test_a_gguf_file_is_a_model(tmp_path):
    at = Place(str(tmp_path / "store"), "path", "gguf", "1")
    file = gguf(tensors=[("a", [4], 0, 0)], data=bytes(16))
    source = make_source("path", write(tmp_path / "m", {"x.gguf": file}))
    Snapshot(at, source, Choice(allow_unverified=("x.gguf",))).present()
    assert contents(at) == {"x.gguf": file}


def test_files_that_nothing_proves_need_a_name(tmp_path, model):
    at = Place(str(tmp_path / "store"), "path", "name", "1")
    folder = write(tmp_path / "m", model)
    for allowed in ((), ("*.json", "README.md")):
        with pytest.raises(ModelError) as caught:
            Snapshot(at, make_source("path", folder), Choice(allow_unverified=allowed)).present()
        assert caught.value.code == "unverified_file"
    choice = Choice(allow_unverified=("*.json", "*.md", WEIGHTS))
    outcome = Snapshot(at, make_source("path", folder), choice).present()
    assert contents(at) == model
    assert {item.source_hash.kind for item in outcome.manifest.files} == {"none"}
    assert not Snapshot(at, make_source("path", folder), Choice()).present().changed


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


def test_a_snapshot_is_removed_with_all_beside_it(present, place, tmp_path):
    assert not remove_snapshot(place).changed
    present()
    os.mkdir(place.partial)
    other = Place(str(tmp_path / "store"), "modelscope", "other/name", "1")
    os.makedirs(other.path)
    outcome = remove_snapshot(place, check_mode=True)
    assert outcome.changed and os.path.isdir(place.path)
    assert remove_snapshot(place).files == outcome.files
    assert os.listdir(tmp_path / "store" / "modelscope") == ["other"]
    assert not remove_snapshot(place).changed


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("revision", ["", ".", "..", "a/b", "-x", "v1.partial", "v1.lock", "a b"]),
        ("id", ["", "/a", "a/", "a//b", "../a", "a/../b", "a.old/b", "a\n"]),
        ("store", ["relative", ""]),
    ],
)
def test_places_outside_the_store_are_refused(option, values):
    for value in values:
        names = {"store": "/s", "source": "path", "id": "a", "revision": "1", option: value}
        with pytest.raises(ModelError) as caught:
            Place(**names)
        assert caught.value.code == "invalid_option"


def test_a_snapshot_never_lies_inside_another(present, tmp_path, model):
    folder = write(tmp_path / "m", model)

    def make(id_, revision):
        at = Place(str(tmp_path / "store"), "path", id_, revision)
        source = make_source("path", folder)
        return Snapshot(at, source, Choice(allow_unverified=("*",))).present()

    make("a/b", "c")
    for id_, revision in (("a", "b"), ("a/b/c", "d")):
        with pytest.raises(ModelError) as caught:
            make(id_, revision)
        assert caught.value.code == "store_conflict"
    assert not make("a/b", "c").changed


def _run(store, endpoint, results):
    at = Place(store, "modelscope", "owner/name", "v1.0.0")
    outcome = Snapshot(at, make_source("modelscope", endpoint), Choice()).present()
    results.put((outcome.changed, outcome.fetched_bytes))


def test_concurrent_runs_wait_for_each_other(hub, place, model):
    """Of four runs at once one fetches and the others find the snapshot."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    runs = [
        context.Process(target=_run, args=(place.store, hub.url, results)) for _each in range(4)
    ]
    for run in runs:
        run.start()
    outcomes = sorted(results.get(timeout=60) for _each in runs)
    for run in runs:
        run.join()
    size = sum(len(data) for data in model.values())
    assert outcomes == [(False, 0)] * 3 + [(True, size)]
    assert not os.path.lexists(place.path + ".lock")


CLIENT = """#!{python}
import json, os, sys
sys.argv.pop(0), sys.argv.pop(0)
asked = json.load(sys.stdin)
{body}
"""


@pytest.fixture
def stand_in(tmp_path):
    """Write a stand-in for an interpreter that has a client library."""

    def make(body):
        path = tmp_path / "python"
        path.write_text(CLIENT.format(python=sys.executable, body=body))
        path.chmod(0o755)
        return str(path)

    return make


FETCH = """
from urllib.request import urlopen
assert os.environ["HF_HUB_DISABLE_XET"] == "1"
folder = os.path.join(asked["folder"], {nested!r})
for pattern in asked["patterns"]:
    target = os.path.join(folder, pattern)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    url = os.environ["MODELSCOPE_ENDPOINT"] + "/api/v1/models/" + asked["id"] + "/repo?Revision="
    open(target, "wb").write(urlopen(url + asked["revision"] + "&FilePath=" + pattern).read())
os.makedirs(asked["folder"] + "/.msc", exist_ok=True)
open(asked["folder"] + "/.msc/index", "w").write("left behind")
"""


@pytest.mark.parametrize("nested", ["", "owner/name"])
def test_a_client_may_fetch_and_is_verified(present, place, model, stand_in, nested):
    client = {"client": "modelscope", "client_python": stand_in(FETCH.format(nested=nested))}
    outcome = present(**client)
    assert contents(place) == model
    assert outcome.fetched_bytes == sum(len(data) for data in model.values())
    spoil(place, "config.json")
    assert [item["path"] for item in present(**client).files] == ["config.json"]
    assert contents(place) == model


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (
            FETCH.format(nested="") + "open(folder + '/config.json', 'ab').write(b' ')",
            "size_mismatch",
        ),
        (
            FETCH.format(nested="") + "open(folder + '/config.json', 'r+b').write(b' ')",
            "hash_mismatch",
        ),
        ("pass", "file_missing"),
        ("sys.exit('no such model: ' + os.environ['HF_TOKEN'])", "client_failed"),
    ],
)
def test_a_client_is_not_trusted(hub, place, stand_in, body, code):
    choice = Choice(client="modelscope", client_python=stand_in(body))
    source = make_source("modelscope", hub.url, token="secret", work=place.archive)
    with pytest.raises(ModelError) as caught:
        Snapshot(place, source, choice).present()
    assert caught.value.code == code
    assert "secret" not in caught.value.message + str(caught.value.details)
    assert not os.path.lexists(place.path)


def test_a_client_for_another_source_or_nowhere_is_refused(present, stand_in):
    for choice in (
        {"client": "huggingface_hub", "client_python": stand_in("pass")},
        {"client": "modelscope", "client_python": "/absent"},
        {"client": "modelscope", "client_python": ""},
    ):
        with pytest.raises(ModelError) as caught:
            present(**choice)
        assert caught.value.code == "invalid_option"


def test_a_slow_hub_makes_the_other_run_wait_and_not_fetch(hub, place, model):
    """The hub stalls in the weights, so that the second process comes while the first fetches."""
    hub.faults.add("stall", WEIGHTS)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    runs = [
        context.Process(target=_run, args=(place.store, hub.url, results)) for _each in range(2)
    ]
    for run in runs:
        run.start()
    outcomes = sorted(results.get(timeout=120) for _each in runs)
    for run in runs:
        run.join()
    size = sum(len(data) for data in model.values())
    assert outcomes == [(False, 0), (True, size)]
    listings = [r for r in hub.journal.records() if "/repo/files" in r["path"]]
    weights_asked = [r for r in hub.journal.records() if r["path"].startswith("/cdn/")]
    assert (len(listings), len(weights_asked)) == (1, 2)  # the stalled answer and the rest of it
