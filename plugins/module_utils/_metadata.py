# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a model says about itself: the few values of its files that a plan is made from.

``describe`` reads them through a function, so that a folder, a lock in the making and a remote
repository are all described by the same code. Nothing is unpickled and no weight is loaded.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from ._errors import ModelError
from ._gguf import read_values
from ._safetensors import HEADER_BYTES, LENGTH_BYTES, header_length, read_header

# (path, at most so many first bytes) -> those bytes, or None when they are not at hand.
Reader = Callable[[str, int], Optional[bytes]]

CONFIG = "config.json"
JSON_BYTES = 16 * 1024 * 1024

# Name in the description -> names that configurations use, the first that is there counts.
_SCALARS: dict[str, tuple[str, ...]] = {
    "model_type": ("model_type",),
    "hidden_size": ("hidden_size", "d_model", "n_embd", "dim"),
    "num_hidden_layers": ("num_hidden_layers", "num_layers", "n_layer", "n_layers"),
    "num_attention_heads": ("num_attention_heads", "n_head", "n_heads"),
    "num_key_value_heads": ("num_key_value_heads",),
    "head_dim": ("head_dim",),
    "intermediate_size": ("intermediate_size", "ffn_dim", "d_ff", "hidden_dim", "n_inner"),
    "vocab_size": ("vocab_size",),
    "max_position_embeddings": ("max_position_embeddings", "n_positions"),
    "pad_token_id": ("pad_token_id",),
    "torch_dtype": ("torch_dtype", "dtype"),
}
# Key of a GGUF file, without its first word -> name in the description.
_GGUF_VALUES = {
    "architecture": "model_type",
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "feed_forward_length": "intermediate_size",
    "vocab_size": "vocab_size",
}
# Those values stand before the vocabulary, which is long.
GGUF_HEAD_BYTES = 256 * 1024
# transformers gives a classifier whose configuration names no labels two of them.
_DEFAULT_LABELS = 2
_FORMATS = {
    "safetensors": (".safetensors",),
    "gguf": (".gguf",),
    "pickle": (".bin", ".pt", ".pth", ".ckpt", ".pkl"),
}
# Names of the safetensors format -> names of torch; integer buffers are no parameters.
_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I8": "int8",
    "U8": "uint8",
}
# Exports for other engines, and copies in another precision, are not what transformers loads.
_OTHER_ENGINES = {"onnx", "openvino", "coreml", "tensorrt", "original"}
_GGUF_SHARD = re.compile(r"(.*)-\d{5}-of-(\d{5})\.gguf")
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
# The weights of a sentence-transformers module, such as 2_Dense/model.safetensors.
_MODULE = re.compile(r"\d+_\w+/model\.safetensors")


def folder_files(folder: str) -> tuple[dict[str, int], Reader]:
    """Return (sizes in bytes by path, reader) of a folder on disk."""
    root = Path(folder)
    sizes = {
        Path(parent, name).relative_to(root).as_posix(): Path(parent, name).stat().st_size
        for parent, dummy, names in os.walk(folder)
        for name in names
    }

    def read(path: str, length: int) -> bytes:
        with (root / path).open("rb") as stream:
            return stream.read(length)

    return sizes, read


def describe(sizes: Mapping[str, int], read: Reader) -> dict[str, Any]:
    """Return the values of a model's files that a plan needs; what is not stated is left out.

    ``sizes`` maps each file's path to its size in bytes. Keys of the result: ``architectures`` (a
    list), ``num_labels`` of a sequence classifier, the scalars of config.json (``hidden_size``,
    ``num_hidden_layers``, ``torch_dtype``, ...) or of a GGUF file, ``max_seq_length``
    (sentence_bert_config.json), ``model_max_length`` (tokenizer_config.json), ``published_task``
    (configuration.json of ModelScope), ``weights_format`` (safetensors, gguf, pickle or none),
    ``weights_bytes``, ``weights_dtype`` and ``parameters`` (from the headers of safetensors).
    Raises ``ModelError`` for a file that is broken: weights_invalid, else model_incomplete.
    """
    config = _read_json(sizes, read, CONFIG)
    described: dict[str, Any] = {}
    if isinstance(config.get("architectures"), list):
        described["architectures"] = [str(name) for name in config["architectures"]]
        if any(name.endswith("ForSequenceClassification") for name in described["architectures"]):
            described["num_labels"] = _labels(config)
    inner = config.get("text_config")
    layers = [config, inner] if isinstance(inner, Mapping) else [config]
    for key, names in _SCALARS.items():
        found = [layer[name] for layer in layers for name in names if _is_scalar(layer.get(name))]
        if found:
            described[key] = found[0]
    for path, key in (
        ("sentence_bert_config.json", "max_seq_length"),
        ("tokenizer_config.json", "model_max_length"),
    ):
        value = _read_json(sizes, read, path).get(key)
        # transformers writes 1e30 for "no limit" (VERY_LARGE_INTEGER).
        if isinstance(value, (int, float)) and 0 < value < 1e9:
            described[key] = int(value)
    task = _read_json(sizes, read, "configuration.json").get("task")
    if isinstance(task, str) and task:
        described["published_task"] = task
    return {**described, **_describe_weights(sizes, read)}


def weights_files(paths: Sequence[str]) -> tuple[str, list[str]]:
    """Return (format, the files that are loaded); the safest format that is there counts.

    As transformers does: model.safetensors before its shards before any other name. Of several
    GGUF files the caller loads one.
    """
    usable = sorted(path for path in paths if path.split("/")[0].lower() not in _OTHER_ENGINES)
    for kind, suffixes in _FORMATS.items():
        found = [path for path in usable if path.endswith(suffixes)]
        if kind == "safetensors" and found:
            modules = [path for path in found if _MODULE.fullmatch(path)]
            shards = [path for path in found if _SHARD.fullmatch(path)]
            if "model.safetensors" in found:
                return kind, ["model.safetensors", *modules]
            return kind, [*shards, *modules] if shards else found
        if found:
            return kind, found
    return "none", []


def gguf_models(paths: Sequence[str]) -> dict[str, list[str]]:
    """Return the files of each GGUF model by its first one; only a split model has several."""
    models: dict[tuple[str, str], list[str]] = {}
    for path in sorted(paths):
        shard = _GGUF_SHARD.fullmatch(path)
        models.setdefault((shard[1], shard[2]) if shard else (path, ""), []).append(path)
    return {files[0]: files for files in models.values()}


def _describe_weights(sizes: Mapping[str, int], read: Reader) -> dict[str, Any]:
    kind, paths = weights_files(list(sizes))
    if kind == "none":
        return {"weights_format": kind}
    if kind == "gguf":
        return {"weights_format": kind, **_describe_gguf(paths, sizes, read)}
    total = sum(sizes[path] for path in paths)
    described: dict[str, Any] = {"weights_format": kind, "weights_bytes": total}
    if kind != "safetensors":
        return described
    by_dtype: dict[str, int] = {}
    for path in paths:
        head = read(path, LENGTH_BYTES)
        if head is None:
            return described
        whole = read(path, LENGTH_BYTES + min(header_length(head), HEADER_BYTES)) or b""
        for tensor in read_header(whole, path, sizes[path]).values():
            dtype = _DTYPES.get(tensor.dtype)
            if dtype is not None:
                by_dtype[dtype] = by_dtype.get(dtype, 0) + tensor.elements
    if by_dtype:
        described["parameters"] = sum(by_dtype.values())
        described["weights_dtype"] = max(by_dtype, key=lambda dtype: by_dtype[dtype])
    return described


def _describe_gguf(paths: Sequence[str], sizes: Mapping[str, int], read: Reader) -> dict[str, Any]:
    """Describe the largest of several models, which usually differ in quantisation only."""
    totals = {
        first: sum(map(sizes.__getitem__, all_)) for first, all_ in gguf_models(paths).items()
    }
    first = max(totals, key=lambda path: (totals[path], path))
    described: dict[str, Any] = {"weights_bytes": totals[first]}
    head = read(first, min(sizes[first], GGUF_HEAD_BYTES))
    if head is not None:
        found = read_values(head, sizes[first], first, _GGUF_VALUES)
        described.update({n: found[key] for key, n in _GGUF_VALUES.items() if key in found})
    return described


def _labels(config: Mapping[str, Any]) -> int:
    names, number = config.get("id2label"), config.get("num_labels")
    if isinstance(names, Mapping) and names:
        return len(names)
    return number if isinstance(number, int) and number > 0 else _DEFAULT_LABELS


def _read_json(sizes: Mapping[str, int], read: Reader, path: str) -> dict[str, Any]:
    """Return a JSON file's mapping; an empty one when the file is absent or not at hand."""
    content = read(path, JSON_BYTES) if path in sizes else None
    if content is None:
        return {}
    try:
        found = json.loads(content)
    except ValueError:
        raise _broken(path, "it is not valid JSON") from None
    if not isinstance(found, dict):
        raise _broken(path, "it does not hold a JSON object")
    return found


def _is_scalar(value: object) -> bool:
    return isinstance(value, (int, float, str)) and not isinstance(value, bool)


def _broken(path: str, why: str) -> ModelError:
    return ModelError(
        f"{path} is broken: {why}. Fetch the model again, or ask its author.",
        "model_incomplete",
        path=path,
    )
