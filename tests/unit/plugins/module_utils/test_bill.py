# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bill of materials is made from. The document itself is tested in tests/model_tools."""

from __future__ import annotations

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._bill import (
    flatten,
    licences,
    pins,
)
from ansible_collections.modelops.serving.plugins.module_utils._model_card import front_matter


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("# A model\n", {}),
        ("---\nlicense: mit\n", {}),  # without an end it is no front matter
        ("---\nlicense: mit\n---\nlicense: gpl\n", {"license": ["mit"]}),
        ("---\r\nlicense: mit\r\n---\r\n", {"license": ["mit"]}),
        ("\ufeff---\nlicense: 'mit' \n---\n", {"license": ["mit"]}),
        ("---\nlicense: mit # as ever\n---\n", {"license": ["mit"]}),
        (
            "---\nlanguage:\n- en\n- zh\nlicense: [mit, gemma]\n---\n",
            {"language": ["en", "zh"], "license": ["mit", "gemma"]},
        ),
        ("---\nlicense:\npipeline_tag: fill-mask\n---\n", {"pipeline_tag": ["fill-mask"]}),
        ("---\nwidget:\n- text: hello\n  source: x\nlicense: mit\n---\n", {"license": ["mit"]}),
    ],
)
def test_front_matter(text, expected):
    assert front_matter(text) == expected


@pytest.mark.parametrize(
    ("card", "config", "expected"),
    [
        ({"license": ["mit"]}, '{"license": "gpl"}', ["mit"]),
        ({"license": ["other"], "license_name": ["own"]}, "", ["own"]),
        ({"license": ["other"]}, "", ["other"]),
        ({}, '{"license": "apache-2.0"}', ["apache-2.0"]),
        ({}, '{"license": {"name": "x"}}', []),
        ({}, "no json", []),
        ({}, "[]", []),
        ({}, "", []),
    ],
)
def test_licences(card, config, expected):
    assert licences(card, config) == expected


def test_pins():
    lock = (
        "# made by a tool==1\n"
        "Torch==2.13.0+cpu \\\n    --hash=sha256:"
        + "b" * 64
        + " \\\n    --hash=sha256:"
        + "a" * 64
        + "\n"
        "jsonschema[format]==4.26.0 --hash=sha256:" + "c" * 64 + "\n"
        "--only-binary :all:\n"
    )
    assert list(pins(lock)) == [
        {"name": "torch", "version": "2.13.0+cpu", "sha256": ["a" * 64, "b" * 64]},
        {"name": "jsonschema", "version": "4.26.0", "sha256": ["c" * 64]},
    ]


def test_flatten():
    nested = {"b": {"y": True, "x": [1, {"k": None}]}, "a": "text"}
    assert list(flatten(nested)) == [("a", "text"), ("b:x", '[1, {"k": null}]'), ("b:y", "true")]
