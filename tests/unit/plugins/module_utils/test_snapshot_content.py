# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What files must be before they become a snapshot."""

from __future__ import annotations

import os

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._snapshot import (
    Choice,
    Snapshot,
)
from ansible_collections.modelops.serving.plugins.module_utils._store import Place
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    WEIGHTS,
    contents,
    gguf,
    make_source,
    weights,
    write,
)


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
