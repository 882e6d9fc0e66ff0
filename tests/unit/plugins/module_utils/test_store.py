# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store: places, removal, and several runs at once."""

from __future__ import annotations

import multiprocessing
import os

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._snapshot import (
    Choice,
    Snapshot,
    remove_snapshot,
)
from ansible_collections.modelops.serving.plugins.module_utils._store import Place
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    WEIGHTS,
    make_source,
    write,
)


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


def run_at_once(hub, place, count):
    """Return what each of ``count`` processes did that fetch the same snapshot, sorted."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    target, arguments = _run, (place.store, hub.url, results)
    runs = [context.Process(target=target, args=arguments) for _each in range(count)]
    for run in runs:
        run.start()
    outcomes = sorted(results.get(timeout=120) for _each in runs)
    for run in runs:
        run.join()
    return outcomes


def test_concurrent_runs_wait_for_each_other(hub, place, model):
    """Of four runs at once one fetches and the others find the snapshot."""
    size = sum(len(data) for data in model.values())
    assert run_at_once(hub, place, 4) == [(False, 0)] * 3 + [(True, size)]
    assert not os.path.lexists(place.path + ".lock")


def test_a_slow_hub_makes_the_other_run_wait_and_not_fetch(hub, place, model):
    """The hub stalls in the weights, so that the second process comes while the first fetches."""
    hub.faults.add("stall", WEIGHTS)
    size = sum(len(data) for data in model.values())
    assert run_at_once(hub, place, 2) == [(False, 0), (True, size)]
    listings = [r for r in hub.journal.records() if "/repo/files" in r["path"]]
    weights_asked = [r for r in hub.journal.records() if r["path"].startswith("/cdn/")]
    assert (len(listings), len(weights_asked)) == (1, 2)  # the stalled answer and the rest of it
