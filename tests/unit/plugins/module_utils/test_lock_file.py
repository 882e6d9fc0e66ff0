# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of a lock: what is read from it, what changes in it, and what stays."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._lock_file import LockFile
from ansible_collections.modelops.serving.plugins.module_utils._manifest import Manifest
from ansible_collections.modelops.serving.plugins.module_utils._yaml import dump
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import lock_of

SHARED = """---
# All environments
other: "{{ vault_other }}"
model_locks:
  # the first
  alpha:
    lock_version: 1  # as it was
  # the last
  zeta:
    lock_version: 1

# behind
after: [1, 2]
"""


def test_a_lock_alone_keeps_the_comments_at_its_top(lock):
    new = dump(lock.to_dict())
    assert LockFile("a.yml", "").text(lock) == new
    old = "---\n# Whose it is\n# Why\nlock_version: 0\n# not this one\n"
    written = LockFile("a.yml", old).text(lock)
    assert written == new.replace("---\n", "---\n# Whose it is\n# Why\n", 1)
    assert LockFile("a.yml", written).lock() == lock


def test_a_new_file_holds_the_variable_only(lock):
    written = LockFile("a.yml", "", "minilm").text(lock)
    assert yaml.safe_load(written) == {"model_locks": {"minilm": lock.to_dict()}}
    assert written.startswith("---\nmodel_locks:\n  minilm:\n    lock_version: 1\n")
    assert LockFile("a.yml", written, "minilm").lock() == lock
    assert LockFile("a.yml", written, "other").lock() is None


@pytest.mark.parametrize(
    ("name", "before"),
    [("aaa", "  # the first\n"), ("minilm", "  # the last\n"), ("zz", "\n# behind\n")],
)
def test_a_new_name_finds_its_place_and_all_else_stays(lock, name, before):
    written = LockFile("a.yml", SHARED, name).text(lock)
    head, found, tail = SHARED.partition(before)
    assert written.startswith(head + f"  {name}:\n") and written.endswith(found + tail)
    data, kept = yaml.safe_load(written), yaml.safe_load(SHARED)
    assert data["model_locks"].pop(name) == lock.to_dict()
    assert data == kept
    assert list(yaml.safe_load(written)["model_locks"]) == sorted(
        yaml.safe_load(written)["model_locks"]
    )


@pytest.mark.parametrize("name", ["alpha", "zeta"])
def test_a_known_name_is_replaced_where_it_stands(lock, name):
    written = LockFile("a.yml", SHARED, name).text(lock)
    data = yaml.safe_load(written)
    assert data["model_locks"][name] == lock.to_dict()
    assert list(data["model_locks"]) == ["alpha", "zeta"]
    for comment in ("# All environments", "  # the first\n", "  # the last\n", "# behind\n"):
        assert written.count(comment) == 1
    assert LockFile("a.yml", written, name).text(lock) == written


def test_a_file_without_the_variable_gets_it_at_its_end(lock):
    old = "---\nother: 1"
    written = LockFile("a.yml", old, "minilm").text(lock)
    assert written.startswith(old + "\nmodel_locks:\n  minilm:\n")
    assert yaml.safe_load(written)["other"] == 1


def test_the_indent_of_the_file_is_kept(lock):
    old = "---\nmodel_locks:\n    zeta:\n        lock_version: 1\n"
    written = LockFile("a.yml", old, "alpha").text(lock)
    assert "\n    alpha:\n" in written
    assert LockFile("a.yml", written, "alpha").lock() == lock


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("lock_version: [1]\n", "", "line 1"),
        ("lock_version: 9\n", "", "lock_version 9"),
        ("model_locks: {}\n", "minilm", "line 1 must be 'model_locks:' alone"),
        ("model_locks:\n  minilm: {a: 1}\n", "minilm", "line 2 must be a name"),
        ("model_locks:\n  minilm:\n    a: {b: 1}\n", "minilm", "line 2"),
    ],
)
def test_a_file_that_cannot_be_updated_is_refused(text, name, says):
    with pytest.raises(ModelError, match=says) as caught:
        LockFile("a.yml", text, name).lock()
    assert caught.value.code == "invalid_lock"


@pytest.mark.parametrize("name", ["a b", "1a", "a:", "ä", "{{ x }}"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(ModelError) as caught:
        LockFile("a.yml", "", name)
    assert caught.value.code == "invalid_option"


def test_a_changed_model_changes_only_its_lines(model):
    """A review shows what changed and nothing else."""
    old = LockFile("a.yml", "", "m").text(Manifest.from_dict(lock_of(model)))
    new = LockFile("a.yml", old, "m").text(
        Manifest.from_dict(lock_of({**model, "README.md": b"other"}))
    )
    changed = [(a, b) for a, b in zip(old.splitlines(), new.splitlines()) if a != b]
    assert [a.split(":")[0].strip() for a, _b in changed] == ["size", "sha256"]
