# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The YAML of a lock means to us and to a YAML library what was meant."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.modelops.serving.plugins.module_utils._yaml import dump
from ansible_collections.modelops.serving.plugins.module_utils._yaml_reader import load
from hypothesis import given, settings
from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    TEXT | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(TEXT, VALUES, min_size=1))
def test_any_value_survives(data):
    assert yaml.safe_load(dump(data)) == data


@pytest.mark.parametrize(
    "text",
    [
        "0.1.0",
        "1e5",
        "null",
        "Yes",
        "0x1f",
        "1_000",
        "12:30",
        "2026-01-01",
        "~",
        "- a",
        "a: b",
        "#",
    ],
)
def test_texts_that_look_like_something_else_stay_texts(text):
    assert yaml.safe_load(dump({"a": text, text: ["b"]})) == {"a": text, text: ["b"]}


def test_the_form_is_the_one_people_write():
    data = {"id": "a/b", "revision": "0.1.0", "eps": 1e-12, "files": [{"path": "x", "size": 1}]}
    assert dump(data) == (
        '---\nid: a/b\nrevision: "0.1.0"\neps: 1.0e-12\nfiles:\n  - path: x\n    size: 1\n'
    )


KEYS = st.text("abcXYZ_09 é:#'\"\\\n\u2028-", min_size=1)
LOCKS = st.recursive(
    st.text("abcXYZ_09 é:#'\"\\\n\u2028-")
    | st.integers()
    | st.booleans()
    | st.none()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.dictionaries(KEYS, inner) | st.lists(st.dictionaries(KEYS, inner, min_size=1)),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(KEYS, LOCKS, min_size=1))
def test_what_is_written_can_be_read_without_a_library(data):
    assert load(dump(data)) == data


WRITTEN_BY_HAND = """---
# The model of the search
id: 'owner/it''s'  # with a comment

revision: "0.1.0" # quoted
files:
- path: a/b.json
  size: 12
  source_hash:
    kind: none
-   path: "c"
    size: 1.5e+3
model: {}
empty:
list:
  - a
  - "b"
"""


def test_what_people_do_to_a_lock_is_read_as_a_library_reads_it():
    assert load(WRITTEN_BY_HAND) == yaml.safe_load(WRITTEN_BY_HAND)
    assert load("") is load("---\n# nothing\n") is None


@pytest.mark.parametrize(
    "text",
    [
        "a: {b: c}",
        "a: [1]",
        "a: &x b",
        "a: *x",
        "a: |\n  b",
        "a: yes",
        "a: b: c",
        "a: 'b",
        'a: "b',
        'a: "b" c',
        "a: 1\na: 2",
        "a: 1\n  b: 2",
        "a:\n    b: 1\n  c: 2",
        "- - a",
        "a: 2026-01-01 10:00",
        "a",
        "\tb: 1",
    ],
)
def test_what_is_not_read_is_refused_with_its_line(text):
    with pytest.raises(ValueError, match=r"^line \d"):
        load(text)
