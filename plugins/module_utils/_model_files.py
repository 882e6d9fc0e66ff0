# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the files of a model must be, before any of them is fetched or served."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from ._errors import ModelError
from ._metadata import JSON_BYTES, Reader
from ._pickles import is_pickle_name

# Formats that hold numbers only.
SAFE_WEIGHTS = (".safetensors", ".gguf", ".onnx", ".xml", ".pb", ".tflite")


def check_files(paths: Iterable[str], name: str) -> None:
    """Refuse files that are not a whole model (``model_incomplete``); ``name`` names the model.

    Whether its weights may be pickles is for ``_scan.check_names`` to say.
    """
    known = set(paths)
    gguf = any(path.endswith(".gguf") for path in known)
    if "config.json" not in known and not gguf:
        raise ModelError(
            f"{name} has no config.json and no GGUF file, so it is not a whole model. Check "
            "subfolder, include and exclude, or choose another model.",
            "model_incomplete",
        )
    if not any(path.endswith(SAFE_WEIGHTS) or is_pickle_name(path) for path in known):
        raise ModelError(
            f"{name} has no weights. Check include and exclude, or choose another revision.",
            "model_incomplete",
        )


def check_shards(paths: Iterable[str], read: Reader, name: str) -> None:
    """Refuse a model whose index names weight files that are not there (``model_incomplete``)."""
    known = set(paths)
    for index in sorted(path for path in known if path.endswith(".safetensors.index.json")):
        folder = index.rpartition("/")[0]
        shards = _shards(read(index, JSON_BYTES) or b"")
        missing = sorted(s for s in shards if (f"{folder}/{s}" if folder else s) not in known)
        if missing:
            raise ModelError(
                f"{name} lacks {missing[0]}, which {index} names. Check include and exclude.",
                "model_incomplete",
                files=missing,
            )


def _shards(index: bytes) -> set[str]:
    try:
        weights = json.loads(index)["weight_map"]
    except (ValueError, KeyError, TypeError):
        return set()
    return {str(shard) for shard in weights.values()} if isinstance(weights, Mapping) else set()
