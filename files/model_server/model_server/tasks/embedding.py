# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Embedding: one vector for each text.

Equal to sentence-transformers on the same snapshot: tokenizer, token limit, pooling and
normalisation come from the same files. Texts beyond the limit are cut there, and counted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..engines.base import (
    EngineStartFailed,
    FloatArray,
    Purpose,
    TensorBatch,
    TextEncoder,
    TokenizedText,
)
from ..settings import ModelSettings
from .encoder import EncoderResult, EncoderTask, cost
from .pooling import Pooling, read_pooling
from .snapshot import read_json

_CANARY = "The quick brown fox jumps over the lazy dog."
_NORM_TOLERANCE = 1e-3
_FINGERPRINT_DIGITS = 16


@dataclass(frozen=True, kw_only=True)
class EmbeddingResult(EncoderResult):
    """Vectors in the order of the texts, float32 of shape (dimensions,)."""

    vectors: list[FloatArray]


class EmbeddingTask(EncoderTask[Sequence[str], EmbeddingResult]):
    """Embedding with a text encoder."""

    name: ClassVar[str] = "embedding"
    purpose: ClassVar[Purpose] = Purpose.STATES

    def __init__(self, engine: TextEncoder, model: ModelSettings, max_tokens: int | None) -> None:
        """Read pooling and prompt beside the token limit."""
        super().__init__(engine, model, max_tokens)
        self._pooling = read_pooling(model.path)
        self._prompt = _default_prompt(model.path)
        config = read_json(model.path / "sentence_bert_config.json") or {}
        self._lower_case = bool(config.get("do_lower_case"))
        self.dimensions = engine.info.hidden_size * len(self._pooling.modes)
        self.fingerprint = _fingerprint(model, self._pooling, self._prompt, self.max_tokens)

    @property
    def predict_tasks(self) -> tuple[str, ...]:
        """A vector, or the cosine of two."""
        return ("embedding", "similarity")

    def prepare(self, request: Sequence[str]) -> list[TokenizedText]:
        """Tokenize texts of one request."""
        texts = [self._prompt + text for text in request] if self._prompt else request
        if self._lower_case:
            texts = [text.lower() for text in texts]
        return self._engine.tokenize(texts, self.max_tokens)

    def finish(
        self, request: Sequence[str], items: Sequence[TokenizedText], rows: Sequence[FloatArray]
    ) -> EmbeddingResult:
        """Join vectors with the token counts of their texts."""
        return EmbeddingResult(vectors=list(rows), **cost(items))

    @property
    def canary(self) -> Sequence[str]:
        """A fixed English sentence; any tokenizer can split it."""
        return (_CANARY,)

    def verify(self, result: EmbeddingResult) -> None:
        """Check size, and the norm where the model normalises."""
        (vector,) = result.vectors
        norm = float(np.linalg.norm(vector))
        if vector.shape != (self.dimensions,):
            raise EngineStartFailed(f"canary: vector {vector.shape}, not ({self.dimensions},)")
        if norm == 0 or (self._pooling.normalize and abs(norm - 1) > _NORM_TOLERANCE):
            raise EngineStartFailed(f"canary: the vector has norm {norm}")

    def describe(self) -> dict[str, Any]:
        """Size and space of the vectors, and token limit of a text."""
        return {
            **super().describe(),
            "dimensions": self.dimensions,
            "fingerprint": self.fingerprint,
        }

    def _rows(self, numbers: FloatArray, batch: TensorBatch) -> list[FloatArray]:
        return list(self._pooling(numbers, batch.attention_mask))


def cosine(left: FloatArray, right: FloatArray) -> float:
    """Cosine of the angle between two vectors, from -1 to 1; 0 when one of them is zero."""
    norms = float(np.linalg.norm(left)) * float(np.linalg.norm(right))
    return float(np.clip(np.dot(left, right) / norms, -1.0, 1.0)) if norms else 0.0


def _default_prompt(snapshot: Path) -> str:
    config = read_json(snapshot / "config_sentence_transformers.json") or {}
    name = config.get("default_prompt_name")
    return str(config["prompts"][name]) if name else ""


def _fingerprint(model: ModelSettings, pooling: Pooling, prompt: str, max_tokens: int) -> str:
    """Name the vector space by what makes it, not by the machine or the number format."""
    space = {
        "id": model.id,
        "revision": model.revision,
        "pooling": pooling.modes,
        "normalize": pooling.normalize,
        "prompt": prompt,
        "max_tokens": max_tokens,
    }
    content = json.dumps(space, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()[:_FINGERPRINT_DIGITS]
