# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""How a snapshot turns token states into one vector.

Sources, in this order: sentence-transformers' `modules.json` with the pooling module's
`config.json`; ModelScope's `configuration.json`; else mean pooling and L2 normalisation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..engines.base import EngineStartFailed, FloatArray, IntArray
from .snapshot import read_json

# As in sentence-transformers: keeps an empty mask or a zero vector from dividing by zero.
_MIN_COUNT = 1e-9
_MIN_NORM = 1e-12

Pool = Callable[[FloatArray, FloatArray], FloatArray]


def _sum(states: FloatArray, mask: FloatArray) -> FloatArray:
    summed: FloatArray = np.matmul(mask[:, None, :], states)[:, 0, :]
    return summed


def _count(mask: FloatArray) -> FloatArray:
    count: FloatArray = np.maximum(mask.sum(axis=1, keepdims=True), np.float32(_MIN_COUNT))
    return count


def _mean(states: FloatArray, mask: FloatArray) -> FloatArray:
    return _sum(states, mask) / _count(mask)


def _mean_sqrt_len(states: FloatArray, mask: FloatArray) -> FloatArray:
    pooled = _sum(states, mask) / np.sqrt(_count(mask))
    return pooled.astype(np.float32, copy=False)


def _cls(states: FloatArray, mask: FloatArray) -> FloatArray:
    return states[:, 0, :]


def _max(states: FloatArray, mask: FloatArray) -> FloatArray:
    highest: FloatArray = np.where(mask[:, :, None] > 0, states, -np.inf).max(axis=1)
    return highest


def _last_token(states: FloatArray, mask: FloatArray) -> FloatArray:
    last = mask.sum(axis=1).astype(np.int64) - 1
    chosen: FloatArray = states[np.arange(len(states)), last, :]
    return chosen


# Names of sentence-transformers; its older files have one boolean for each.
_POOLS: dict[str, Pool] = {
    "cls": _cls,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt_len,
    "lasttoken": _last_token,
}
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}
# Where ModelScope has another name.
_MODELSCOPE = {"avg": "mean"}


@dataclass(frozen=True)
class Pooling:
    """Pooling modes, whose vectors are joined in order, and whether the result has norm 1."""

    modes: tuple[str, ...]
    normalize: bool

    def __call__(self, states: FloatArray, mask: IntArray) -> FloatArray:
        """Pool (rows, tokens, size) into (rows, size times number of modes), float32."""
        weights = mask.astype(np.float32)
        vectors = np.concatenate([_POOLS[mode](states, weights) for mode in self.modes], axis=1)
        if self.normalize:
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = vectors / np.maximum(norms, np.float32(_MIN_NORM))
        return vectors.astype(np.float32, copy=False)


def read_pooling(snapshot: Path) -> Pooling:
    """Read how the snapshot pools; raise EngineStartFailed for what is not supported."""
    modules = read_json(snapshot / "modules.json")
    if modules is not None:
        return _from_modules(snapshot, modules)
    single = read_json(snapshot / "1_Pooling" / "config.json")
    if single is not None:
        return Pooling(_modes(single, snapshot / "1_Pooling" / "config.json"), normalize=True)
    configuration = read_json(snapshot / "configuration.json")
    if configuration is not None and "sentence-embedding" in str(configuration.get("task", "")):
        model = configuration.get("model", {})
        stated = model.get("emb_pooler_type", "cls")
        mode = _MODELSCOPE.get(stated, stated)
        modes = _known((mode,), snapshot / "configuration.json")
        return Pooling(modes, normalize=bool(model.get("normalize", False)))
    return Pooling(("mean",), normalize=True)


def _from_modules(snapshot: Path, modules: list[dict[str, str]]) -> Pooling:
    modes: tuple[str, ...] = ()
    normalize = False
    for module in modules:
        kind = module["type"].rpartition(".")[2]
        if kind == "Pooling":
            file = snapshot / module["path"] / "config.json"
            modes = _modes(read_json(file) or {}, file)
        elif kind == "Normalize":
            normalize = True
        elif kind != "Transformer":
            raise EngineStartFailed(
                f"{snapshot / 'modules.json'}: module {kind} is not supported; "
                "serve a model of Transformer, Pooling and Normalize"
            )
    return Pooling(modes or ("mean",), normalize)


def _modes(config: dict[str, Any], file: Path) -> tuple[str, ...]:
    stated = config.get("pooling_mode")
    if stated:
        modes = (stated,) if isinstance(stated, str) else tuple(stated)
    else:
        modes = tuple(mode for flag, mode in _FLAGS.items() if config.get(flag))
    return _known(modes or ("mean",), file)


def _known(modes: tuple[str, ...], file: Path) -> tuple[str, ...]:
    unknown = [mode for mode in modes if mode not in _POOLS]
    if unknown:
        raise EngineStartFailed(
            f"{file}: pooling {', '.join(unknown)} is not supported; known: {', '.join(_POOLS)}"
        )
    return modes
