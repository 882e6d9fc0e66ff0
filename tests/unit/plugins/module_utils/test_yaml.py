# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The YAML that is written means to a YAML reader what was meant."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.modelops.serving.plugins.module_utils._yaml import dump
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
