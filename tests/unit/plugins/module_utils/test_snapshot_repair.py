# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damage: what is found, what is fetched again, and what a failed repair leaves."""

from __future__ import annotations

import json
import os
import stat

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._files import remove_tree
from ansible_collections.modelops.serving.plugins.module_utils._info import inspect
from ansible_collections.modelops.serving.plugins.module_utils._progress import Meter
from ansible_collections.modelops.serving.plugins.module_utils._snapshot import Choice, Snapshot
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    WEIGHTS,
    contents,
    make_source,
    spoil,
    unseal,
)


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


@pytest.mark.parametrize("locked", [True, False])
def test_a_repair_hashes_all_and_fetches_what_is_wrong(present, place, hub, model, lock, locked):
    present()
    unseal(place)
    spoil(place, "config.json", b"{}")
    os.unlink(os.path.join(place.path, "README.md"))
    with open(os.path.join(place.path, "more.txt"), "w") as stream:
        stream.write("more")
    os.chmod(os.path.join(place.path, WEIGHTS), 0o644)
    hub.journal.clear()
    outcome = present(repair=True, lock=lock if locked else None)
    assert {item["path"]: item["reason"] for item in outcome.files} == {
        "README.md": "missing",
        "config.json": "different",
        "more.txt": "extra",
    }
    assert contents(place) == model
    assert stat.S_IMODE(os.stat(os.path.join(place.path, WEIGHTS)).st_mode) == 0o444
    assert len(hub.journal.records()) == 2
    assert not present(repair=True).changed


def test_a_repair_sees_what_size_and_times_hide(present, place, model):
    """The remembered marks are made to fit the wrong bytes: only a hash can tell."""
    present()
    spoil(place, WEIGHTS, b"x" + model[WEIGHTS][1:])
    with open(place.state) as stream:
        state = json.load(stream)
    status = os.stat(os.path.join(place.path, WEIGHTS))
    marks = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    state["files"][WEIGHTS] = marks
    os.chmod(place.state, 0o644)
    with open(place.state, "w") as stream:
        json.dump(state, stream)
    assert not present().changed
    assert [item["path"] for item in present(repair=True).files] == [WEIGHTS]
    assert contents(place) == model


def test_a_repair_of_nothing_known_is_refused(present, place, hub):
    with pytest.raises(ModelError, match="no manifest") as caught:
        present(repair=True)
    assert caught.value.code == "not_found"
    assert hub.journal.records() == []
    assert not os.path.lexists(place.path)


def test_a_repair_with_a_lock_needs_no_snapshot(present, place, lock, model):
    present(repair=True, lock=lock)
    assert contents(place) == model


def test_a_lost_folder_is_repaired_from_its_manifest(present, place, hub, model):
    present()
    remove_tree(place.path)
    hub.journal.clear()
    assert present(repair=True).changed
    assert contents(place) == model
    assert not any("/repo/files" in record["path"] for record in hub.journal.records())


def test_a_repair_that_failed_still_knows_its_aim(present, place, hub, model):
    present()
    spoil(place, WEIGHTS)
    hub.faults.add("status_403", WEIGHTS, count=-1)
    for _each in range(2):
        with pytest.raises(ModelError) as caught:
            present(repair=True)
        assert caught.value.code == "access_denied"
    hub.faults.clear()
    present(repair=True)
    assert contents(place) == model
    assert not os.path.lexists(place.agreed)


def test_the_meter_shows_the_phases_and_what_came_from_where(hub, place, model, tmp_path):
    meter = Meter(str(tmp_path / "progress"))
    phases = []
    begin = meter.begin
    meter.begin = lambda phase, total: (phases.append((phase, total)), begin(phase, total))
    source = make_source("modelscope", hub.url)
    outcome = Snapshot(place, source, Choice(), (), meter).present()
    size = sum(len(data) for data in model.values())
    assert phases == [("listing", None), ("fetching", size), ("sealing", None)]
    assert outcome.transfer["done"] == outcome.transfer["total"] == size
    weights = len(model[WEIGHTS])
    assert outcome.transfer["hosts"] == {"127.0.0.1": size - weights, "localhost": weights}
    assert json.loads((tmp_path / "progress").read_text())["phase"] == "sealing"
    phases.clear()
    Snapshot(place, source, Choice(verify="full"), (), meter).present()
    assert phases == [("verifying", size), ("listing", None)]
