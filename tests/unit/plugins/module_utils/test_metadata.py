# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metadata: what the files of a model say, without loading one weight."""

from __future__ import annotations

import json
import struct

import pytest
from ansible_collections.modelops.serving.plugins.module_utils import _metadata
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._metadata import (
    describe,
    folder_files,
    weights_files,
)
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    gguf,
    text,
)

ITEM_BYTES = {"F32": 4, "F16": 2, "I64": 8}


def safetensors(**tensors):
    """Return the bytes of a safetensors file; each tensor is (dtype, shape)."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape) in tensors.items():
        size = ITEM_BYTES[dtype]
        for dimension in shape:
            size *= dimension
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


def described(folder, **files):
    """Describe a folder with these files; in names ``_json`` stands for .json, and so on."""
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_json", ".json").replace(
            "_safetensors", ".safetensors"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return describe(*folder_files(str(folder)))


def test_a_sentence_transformer(tmp_path):
    weights = safetensors(embeddings=("F32", [10, 4]), position_ids=("I64", [1, 8]))
    assert described(
        tmp_path,
        config_json={
            "architectures": ["BertModel"],
            "model_type": "bert",
            "hidden_size": 4,
            "num_hidden_layers": 1,
            "use_cache": True,
            "max_position_embeddings": 8,
        },
        sentence_bert_config_json={"max_seq_length": 6},
        tokenizer_config_json={"model_max_length": 1e30},
        model_safetensors=weights,
    ) == {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": 4,
        "num_hidden_layers": 1,
        "max_position_embeddings": 8,
        "max_seq_length": 6,
        "weights_format": "safetensors",
        "weights_bytes": len(weights),
        "weights_dtype": "float32",
        "parameters": 40,
    }


def test_other_names_and_nested_configurations_are_understood(tmp_path):
    found = described(
        tmp_path,
        config_json={"model_type": "x", "text_config": {"d_model": 8, "dtype": "bfloat16"}},
    )
    assert (found["hidden_size"], found["torch_dtype"]) == (8, "bfloat16")


def test_shards_are_summed_and_the_commonest_dtype_counts(tmp_path):
    first, second = safetensors(a=("F16", [6])), safetensors(b=("F32", [2]))
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(first)
    (tmp_path / "model-00002-of-00002.safetensors").write_bytes(second)
    found = described(tmp_path, config_json={})
    assert found["weights_bytes"] == len(first) + len(second)
    assert (found["parameters"], found["weights_dtype"]) == (8, "float16")


@pytest.mark.parametrize(
    ("paths", "loaded"),
    [
        (["pytorch_model.bin", "model.safetensors"], ("safetensors", ["model.safetensors"])),
        (["model.safetensors", "model.fp16.safetensors"], ("safetensors", ["model.safetensors"])),
        (
            ["2_Dense/model.safetensors", "model.safetensors"],
            ("safetensors", ["model.safetensors", "2_Dense/model.safetensors"]),
        ),
        (["onnx/model.safetensors", "pytorch_model.bin"], ("pickle", ["pytorch_model.bin"])),
        (["a-q4.gguf", "config.json"], ("gguf", ["a-q4.gguf"])),
        (["config.json", "onnx/model.onnx"], ("none", [])),
    ],
)
def test_which_files_are_loaded(paths, loaded):
    assert weights_files(paths) == loaded


def test_of_several_gguf_files_the_largest_counts():
    found = describe({"a.gguf": 5, "b.gguf": 9}, lambda path, length: None)
    assert found == {"weights_format": "gguf", "weights_bytes": 9}


def test_weights_that_are_not_at_hand_have_a_size_but_no_parameters():
    found = describe({"model.safetensors": 9}, lambda path, length: None)
    assert found == {"weights_format": "safetensors", "weights_bytes": 9}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "length makes no sense"),
        (struct.pack("<Q", 2**40) + b"{}", "length makes no sense"),
        (struct.pack("<Q", 2) + b"[]", "does not start with '{'"),
        (struct.pack("<Q", 2) + b"{]", "not what the format asks for"),
        (safetensors(a=("F32", [4]))[:-1], "the file has room for 15"),
    ],
)
def test_broken_weights_are_refused(tmp_path, content, why):
    with pytest.raises(ModelError, match=f"model.safetensors is broken: .*{why}") as caught:
        described(tmp_path, model_safetensors=content)
    assert caught.value.code == "weights_invalid"


@pytest.mark.parametrize("content", [b"{", b"[1]"])
def test_a_broken_configuration_is_refused(tmp_path, content):
    with pytest.raises(ModelError, match="config.json is broken"):
        described(tmp_path, config_json=content)


def gguf_values(*values):
    def number(value):
        return struct.pack("<I", value)

    return gguf(
        values=[("general.architecture", 8, text("llama"))]
        + [(f"llama.{key}", 4, number(value)) for key, value in values]
        + [("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 2) + text("a") + text("b"))],
        tensors=[("w", [4], 0, 0)],
        data=bytes(16),
    )


def test_a_gguf_says_what_it_is(tmp_path):
    values = [
        ("context_length", 8192),
        ("embedding_length", 576),
        ("block_count", 30),
        ("attention.head_count", 9),
        ("attention.head_count_kv", 3),
        ("vocab_size", 49152),
        ("rope.dimension_count", 64),
    ]
    (tmp_path / "model.gguf").write_bytes(gguf_values(*values))
    found = describe(*folder_files(str(tmp_path)))
    assert found.pop("weights_bytes") == (tmp_path / "model.gguf").stat().st_size
    assert found == {
        "weights_format": "gguf",
        "model_type": "llama",
        "max_position_embeddings": 8192,
        "hidden_size": 576,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49152,
    }


def test_the_head_of_a_gguf_is_enough(tmp_path, monkeypatch):
    whole = gguf_values(("context_length", 2048), ("block_count", 2))
    (tmp_path / "model.gguf").write_bytes(whole)
    monkeypatch.setattr(_metadata, "GGUF_HEAD_BYTES", whole.index(b"llama.block_count"))
    found = describe(*folder_files(str(tmp_path)))
    assert found["max_position_embeddings"] == 2048 and "num_hidden_layers" not in found


def test_a_file_that_is_no_gguf_is_refused(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"GGML" + bytes(60))
    with pytest.raises(ModelError) as caught:
        describe(*folder_files(str(tmp_path)))
    assert caught.value.code == "weights_invalid"


def test_the_files_of_a_split_gguf_count_together(tmp_path):
    for name in ("big-00001-of-00002.gguf", "big-00002-of-00002.gguf"):
        (tmp_path / name).write_bytes(gguf_values(("block_count", 2)))
    (tmp_path / "small.gguf").write_bytes(gguf_values(("block_count", 1)))
    found = describe(*folder_files(str(tmp_path)))
    one = (tmp_path / "big-00001-of-00002.gguf").stat().st_size
    assert (found["weights_bytes"], found["num_hidden_layers"]) == (2 * one, 2)


@pytest.mark.parametrize(
    ("config", "labels"),
    [
        ({"id2label": {"0": "LABEL_0"}}, 1),
        ({"id2label": {"0": "a", "1": "b", "2": "c"}, "num_labels": 9}, 3),
        ({"num_labels": 4}, 4),
        ({}, 2),
    ],
)
def test_the_labels_of_a_classifier(tmp_path, config, labels):
    config = {"architectures": ["BertForSequenceClassification"], **config}
    assert described(tmp_path, config_json=config)["num_labels"] == labels


def test_labels_of_another_model_and_a_published_task(tmp_path):
    found = described(
        tmp_path,
        config_json={"architectures": ["BertModel"], "id2label": {"0": "x"}},
        configuration_json={"task": "sentence-embedding"},
    )
    assert "num_labels" not in found and found["published_task"] == "sentence-embedding"
