# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a folder of model files must hold, and what its metadata says."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from math import prod
from typing import Any

from ._errors import ModelError

# Formats that hold numbers only, and formats that are Python pickle (code) inside.
SAFE_WEIGHTS = (".safetensors", ".gguf", ".onnx", ".xml", ".pb", ".tflite")
PICKLE_WEIGHTS = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")
MAX_CONFIG_BYTES = 8 << 20
MAX_HEADER_BYTES = 100 << 20  # the limit of the safetensors format itself

# The names that safetensors gives to number types, as PyTorch writes them.
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

ReadStart = Callable[[str, int], bytes]


def check_files(paths: Iterable[str], name: str) -> None:
    """Refuse files that are not a whole model or that run code when they are loaded.

    ``name`` names the model in the message. Raises ``ModelError``: ``model_incomplete``,
    ``unsafe_weights``.
    """
    known = set(paths)
    gguf = any(path.endswith(".gguf") for path in known)
    if "config.json" not in known and not gguf:
        raise ModelError(
            f"{name} has no config.json and no GGUF file, so it is not a whole model. Check "
            "subfolder, include and exclude, or choose another model.",
            "model_incomplete",
        )
    if any(path.endswith(SAFE_WEIGHTS) for path in known):
        return
    pickles = sorted(path for path in known if path.endswith(PICKLE_WEIGHTS))
    if pickles:
        raise ModelError(
            f"{name} has its weights only as pickle ({pickles[0]}), which can run any code when "
            "it is loaded. Choose a revision with safetensors, or convert the weights.",
            "unsafe_weights",
            files=pickles,
        )
    raise ModelError(
        f"{name} has no weights. Check include and exclude, or choose another revision.",
        "model_incomplete",
    )


def check_shards(paths: Iterable[str], read: ReadStart, name: str) -> None:
    """Refuse a model whose index names weight files that are not there."""
    known = set(paths)
    for index in sorted(path for path in known if path.endswith(".safetensors.index.json")):
        data = _mapping(read(index, MAX_CONFIG_BYTES))
        weights = data.get("weight_map")
        folder = index.rpartition("/")[0]
        shards = set(weights.values()) if isinstance(weights, Mapping) else set()
        missing = sorted(s for s in shards if (f"{folder}/{s}" if folder else s) not in known)
        if missing:
            raise ModelError(
                f"{name} lacks {missing[0]}, which {index} names. Check include and exclude.",
                "model_incomplete",
                files=missing,
            )


def describe(sizes: Mapping[str, int], read: ReadStart) -> dict[str, Any]:
    """Return the model's metadata: architectures, numbers of config.json, size of the weights.

    ``sizes`` maps paths to bytes; ``read(path, size)`` returns up to ``size`` first bytes.
    Keys: ``architectures``, ``model_type``, ``torch_dtype``, each number of config.json's top
    level, ``weights_bytes``, and ``parameters`` (count) when safetensors headers tell it.
    """
    config = _mapping(read("config.json", MAX_CONFIG_BYTES)) if "config.json" in sizes else {}
    found: dict[str, Any] = {}
    architectures = config.get("architectures")
    if isinstance(architectures, list):
        found["architectures"] = [str(item) for item in architectures]
    for key in ("model_type", "torch_dtype"):
        if isinstance(config.get(key), str):
            found[key] = config[key]
    if isinstance(config.get("dtype"), str):  # the newer name of torch_dtype
        found["torch_dtype"] = config["dtype"]
    for key in sorted(config):
        if isinstance(config[key], (int, float)) and not isinstance(config[key], bool):
            found[key] = config[key]
    weights = _weights(sizes)
    found["weights_bytes"] = sum(sizes[path] for path in weights)
    counts: Counter[str] = Counter()
    for path in weights:
        if path.endswith(".safetensors"):
            counts.update(_parameters(path, read))
    if counts:
        found["parameters"] = sum(counts.values())
        found.setdefault("torch_dtype", counts.most_common(1)[0][0])
    return found


def _weights(sizes: Mapping[str, int]) -> list[str]:
    """Return the weight files that would be loaded: those of the best format that is there."""
    for suffix in SAFE_WEIGHTS[:3]:
        paths = sorted(path for path in sizes if path.endswith(suffix))
        if paths:
            return paths
    return sorted(path for path in sizes if path.endswith(SAFE_WEIGHTS + PICKLE_WEIGHTS))


def _parameters(path: str, read: ReadStart) -> Counter[str]:
    """Count numbers by type from the header: 8 bytes of its length, then that much JSON.

    Format: https://github.com/huggingface/safetensors#format
    """
    start = read(path, 8)
    if len(start) < 8:
        return Counter()
    (length,) = struct.unpack("<Q", start)
    if length > MAX_HEADER_BYTES:
        return Counter()
    counts: Counter[str] = Counter()
    for name, tensor in _mapping(read(path, 8 + length)[8:]).items():
        if name != "__metadata__" and isinstance(tensor, Mapping):
            kind = _DTYPES.get(str(tensor.get("dtype")))
            if kind is not None:
                counts[kind] += prod(int(n) for n in tensor.get("shape", []))
    return counts


def _mapping(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
