# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is removed from a store, and above all what is not. Times are given, no test waits."""

from __future__ import annotations

import multiprocessing
import os
import time

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._prune import DAY, Rules, prune
from ansible_collections.modelops.serving.plugins.module_utils._snapshot import Choice, Snapshot
from ansible_collections.modelops.serving.plugins.module_utils._stock import snapshots
from ansible_collections.modelops.serving.plugins.module_utils._store import Place
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    make_source,
    write,
)

WEIGHTS = "model.safetensors"
NOW = 2_000_000_000.0


@pytest.fixture
def store(tmp_path):
    return str(tmp_path / "store")


@pytest.fixture
def services(tmp_path):
    return str(tmp_path / "services")


@pytest.fixture
def make(tmp_path, store, model):
    """Make a snapshot that was sealed ``days`` before NOW; each has its own README."""

    def run(revision, days, name="owner/name", shared=True):
        files = {**model, "README.md": f"{name} {revision}".encode()}
        if not shared:
            files["config.json"] = b'{"hidden_size": 4, "of": "%s"}' % revision.encode()
        folder = write(tmp_path / "src" / name / revision, files)
        place = Place(store, "path", name, revision)
        source = make_source("path", folder, id=name, revision=revision)
        Snapshot(place, source, Choice(allow_unverified=("*",))).present()
        moment = NOW - days * DAY
        os.utime(place.manifest, (moment, moment))
        return place

    return run


@pytest.fixture
def clean(store, services):
    def run(check_mode=False, **rules):
        return prune(store, Rules(**{"now": NOW, "services": services, **rules}), check_mode)

    return run


def gone(pruned):
    return [os.path.basename(item["path"]) for item in pruned.removed]


def stayed(pruned):
    return {os.path.basename(item["path"]): item["reason"] for item in pruned.kept}


def everything(folder):
    return sorted(
        (os.path.join(parent, name), os.lstat(os.path.join(parent, name)).st_mtime_ns)
        for parent, folders, files in os.walk(folder)
        for name in folders + files
    )


def test_the_newest_of_each_model_stay(make, clean, store):
    for revision, days in (("a", 1), ("b", 40), ("c", 20), ("d", 30)):
        make(revision, days)
    make("old", 500, name="owner/other")
    make("older", 600, name="owner/other")
    pruned = clean(keep=2)
    assert gone(pruned) == ["d", "b"]
    assert stayed(pruned) == dict.fromkeys(["a", "c", "old", "older"], "newest")
    assert [place.revision for place in snapshots(store)] == ["a", "c", "old", "older"]
    assert clean(keep=2).to_dict() == {
        **pruned.to_dict(),
        "removed": [],
        "freed_bytes": 0,
        "changed": False,
    }


def test_all_beside_a_snapshot_goes_with_it(make, clean, store):
    make("a", 1)
    place = make("b", 2)
    clean(keep=1)
    assert not any(os.path.lexists(path) for path in (place.path, *place.leftovers))
    clean(keep=0)
    assert os.listdir(store) == []


def test_age_spares_what_is_young(make, clean):
    for revision, days in (("a", 1), ("b", 10), ("c", 29.9), ("d", 30.1)):
        make(revision, days)
    pruned = clean(keep=1, older_than_days=30)
    assert gone(pruned) == ["d"]
    assert stayed(pruned) == {"a": "newest", "b": "recent", "c": "recent"}


def test_what_a_release_leads_to_stays(make, clean, services):
    places = {revision: make(revision, days) for revision, days in (("a", 1), ("b", 2), ("c", 3))}
    for release, revision in (("r1", "b"), ("r2.partial", "c")):
        folder = os.path.join(services, "minilm", "releases", release)
        os.makedirs(folder)
        os.symlink(places[revision].path, os.path.join(folder, "model"))
    pruned = clean(keep=1)
    assert stayed(pruned) == {"a": "newest", "b": "released", "c": "released"}
    os.unlink(os.path.join(services, "minilm", "releases", "r2.partial", "model"))
    assert gone(clean(keep=1)) == ["c"]


def test_what_is_protected_stays(make, clean):
    make("a", 1)
    place = make("b", 2)
    assert stayed(clean(keep=1, protect=(place.path + "/",))) == {"a": "newest", "b": "protected"}


def test_the_store_may_be_reached_by_a_link(make, clean, store, services, tmp_path):
    """A release names the store by another path than the module does."""
    make("a", 1)
    place = make("b", 2)
    os.symlink(store, tmp_path / "alias")
    folder = os.path.join(services, "minilm", "releases", "r1")
    os.makedirs(folder)
    os.symlink(place.path.replace(store, str(tmp_path / "alias")), os.path.join(folder, "model"))
    assert stayed(clean(keep=1))["b"] == "released"


def test_check_mode_writes_nothing_and_foresees_all(make, clean, store):
    for revision, days in (("a", 1), ("b", 2), ("c", 3)):
        make(revision, days)
    before = everything(store)
    foreseen = clean(check_mode=True, keep=1)
    assert everything(store) == before
    assert foreseen.to_dict() == clean(keep=1).to_dict()


def test_the_diff_lists_what_goes(make, clean, store):
    kept, lost = make("a", 1), make("b", 2)
    diff = clean(check_mode=True, keep=1).diff(store)
    assert diff["before"] == f"{kept.path}\n{lost.path}\n" and diff["after"] == f"{kept.path}\n"


def linked(first, *others, path=WEIGHTS):
    """Let the snapshots share one file, as the store does where it can."""
    for other in others:
        name = os.path.join(other.path, path)
        os.chmod(os.path.dirname(name), 0o755)
        os.unlink(name)
        os.link(os.path.join(first.path, path), name)


@pytest.mark.parametrize("check_mode", [True, False])
def test_shared_bytes_are_freed_with_the_last_name_only(make, clean, model, check_mode):
    a, b, c = make("a", 1), make("b", 2), make("c", 3)
    linked(b, c)
    own = sum(map(len, model.values())) - len(model[WEIGHTS]) - len(model["README.md"])
    own += len("owner/name b")
    pruned = clean(check_mode=check_mode, keep=1)
    assert [item["bytes"] for item in pruned.removed] == [own, own + len(model[WEIGHTS])]
    assert pruned.freed_bytes == 2 * own + len(model[WEIGHTS])
    assert os.path.exists(a.path)


def test_bytes_that_a_kept_snapshot_shares_are_not_freed(make, clean, model):
    a, b = make("a", 1), make("b", 2)
    linked(a, b)
    assert clean(keep=1).freed_bytes < len(model[WEIGHTS])
    with open(os.path.join(a.path, WEIGHTS), "rb") as stream:
        assert stream.read() == model[WEIGHTS]


@pytest.mark.parametrize("years", [-30, 30])
def test_a_clock_that_jumps_costs_no_newest_revision(make, clean, years):
    for revision, days in (("a", 1), ("b", 2), ("c", 3)):
        make(revision, days)
    pruned = clean(now=NOW + years * 365 * DAY, keep=2, older_than_days=30)
    assert set(stayed(pruned)) >= {"a", "b"}
    assert gone(pruned) == (["c"] if years > 0 else [])


def test_what_was_sealed_in_the_future_has_no_age(make, clean):
    for revision, days in (("a", -1000), ("b", -2000), ("c", 2)):
        make(revision, days)
    pruned = clean(keep=0, older_than_days=1)
    assert gone(pruned) == ["c"]
    assert stayed(pruned) == {"a": "recent", "b": "recent"}


@pytest.mark.parametrize("suffix", [".partial", ".archive", ".old"])
def test_leftovers_go_when_nobody_took_them_up(clean, store, suffix):
    folder = os.path.join(store, "path", "owner", "name", "a" + suffix)
    os.makedirs(folder)
    with open(os.path.join(folder, "model.part"), "wb") as stream:
        stream.write(b"12345")
    touched = os.stat(folder).st_ctime
    assert stayed(clean(now=touched + 6 * DAY)) == {"a" + suffix: "recent"}
    assert stayed(clean(now=touched - 100 * DAY)) == {"a" + suffix: "recent"}
    pruned = clean(now=touched + 8 * DAY)
    assert pruned.removed == [{"path": folder, "reason": "stale", "bytes": 5}]
    assert os.listdir(store) == []


def test_a_leftover_beside_a_snapshot_goes_alone(make, clean):
    place = make("a", 1)
    os.makedirs(place.partial)
    pruned = clean(now=os.stat(place.partial).st_ctime + 8 * DAY)
    assert gone(pruned) == ["a.partial"]
    assert os.path.isdir(place.path) and os.path.exists(place.manifest)


@pytest.mark.parametrize("check_mode", [True, False])
def test_what_another_run_works_on_is_skipped_at_once(make, clean, check_mode):
    make("a", 1)
    place = make("b", 2)
    os.makedirs(place.partial)
    later = os.stat(place.partial).st_ctime + 30 * DAY
    with place.locked():
        pruned = clean(check_mode=check_mode, keep=1, now=later)
    assert stayed(pruned) == {"a": "newest", "b": "busy", "b.partial": "busy"}
    assert os.path.isdir(place.path)


def test_an_empty_or_missing_store_is_nothing_to_do(clean, store):
    assert not clean().removed
    os.makedirs(store)
    assert not clean(keep=0).removed


def _fetch(store, endpoint, results):
    place = Place(store, "modelscope", "owner/name", "v1.0.0")
    source = make_source("modelscope", endpoint, retries=2, timeout=20.0)
    results.put(Snapshot(place, source, Choice()).present().changed)


def test_pruning_does_not_disturb_a_run_that_fetches(clean, store, hub_root, model_hub, model):
    """A real process fetches from a hub that stalls; its folder is old by the given clock."""
    write(hub_root / "owner" / "name", model)
    model_hub.faults.add("stall", WEIGHTS)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    run = context.Process(target=_fetch, args=(store, model_hub.url, results))
    run.start()
    place = Place(store, "modelscope", "owner/name", "v1.0.0")
    while not any(WEIGHTS in record["path"] for record in model_hub.journal.records()):
        assert run.is_alive()
        time.sleep(0.01)
    assert os.path.isdir(place.partial)
    pruned = clean(now=os.stat(place.partial).st_ctime + 100 * DAY, keep=0)
    assert stayed(pruned) == {"v1.0.0.partial": "busy"}
    assert results.get(timeout=60) is True
    run.join()
    assert clean(keep=1).removed == [] and os.path.isdir(place.path)
