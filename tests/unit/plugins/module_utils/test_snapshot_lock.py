# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lock decides, and what it refuses."""

from __future__ import annotations

import os

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._manifest import Manifest
from ansible_collections.modelops.serving.plugins.module_utils._store import Place
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    WEIGHTS,
    contents,
    lock_of,
)


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
