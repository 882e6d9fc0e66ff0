# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Embedding: one vector for each text.

Equal to sentence-transformers on the same snapshot: tokenizer, token limit, pooling and
normalisation come from the same files. Texts beyond the limit are cut there, and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..engines.base import (
    EngineStartFailed,
    FloatArray,
    InvalidOutput,
    Purpose,
    TensorBatch,
    TextEncoder,
    TokenizedText,
)
from ..settings import Settings
from .base import BatchTask
from .pooling import read_json, read_pooling

_CANARY = "The quick brown fox jumps over the lazy dog."
_NORM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class EmbeddingResult:
    """Vectors in the order of the texts, float32 of shape (dimensions,)."""

    vectors: list[FloatArray]
    tokens: int
    truncated: int


class EmbeddingTask(BatchTask[Sequence[str], TokenizedText, FloatArray, EmbeddingResult]):
    """Embedding with a text encoder."""

    name: ClassVar[str] = "embedding"
    purpose: ClassVar[Purpose] = Purpose.STATES

    def __init__(self, engine: TextEncoder, snapshot: Path, max_tokens: int | None) -> None:
        """Read pooling, prompt and token limit; `max_tokens` None takes the snapshot's limit."""
        self._engine = engine
        self._pooling = read_pooling(snapshot)
        self._prompt = _default_prompt(snapshot)
        self._lower_case = bool(_transformer_config(snapshot).get("do_lower_case"))
        self.max_tokens = _token_limit(snapshot, engine, max_tokens)
        self.dimensions = engine.info.hidden_size * len(self._pooling.modes)

    @classmethod
    def create(cls, engine: Any, settings: Settings) -> EmbeddingTask:
        """Make the task for a loaded engine."""
        if not isinstance(engine, TextEncoder):
            raise EngineStartFailed(f"engine {settings.engine.name} cannot encode text")
        return cls(engine, settings.model.path, settings.engine.max_tokens)

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

    def compute(self, items: Sequence[TokenizedText]) -> list[FloatArray]:
        """Embed tokenized texts; raise InvalidOutput when a vector is not finite."""
        batch = TensorBatch.of(items, self._engine.info.pad_token_id)
        states = self._engine.encode(batch)
        if states.shape[:2] != batch.input_ids.shape:
            raise InvalidOutput(f"states {states.shape} for ids {batch.input_ids.shape}")
        vectors = self._pooling(states, batch.attention_mask)
        if not np.isfinite(vectors).all():
            raise InvalidOutput("a vector holds numbers that are not finite")
        return list(vectors)

    def finish(self, items: Sequence[TokenizedText], rows: Sequence[FloatArray]) -> EmbeddingResult:
        """Join vectors with the token counts of their texts."""
        return EmbeddingResult(
            vectors=list(rows),
            tokens=sum(item.tokens for item in items),
            truncated=sum(item.truncated for item in items),
        )

    def warm_up(self, max_batch_tokens: int) -> None:
        """Compute one short text and the largest batch."""
        rows = max(1, max_batch_tokens // self.max_tokens)
        for count, width in ((1, min(8, self.max_tokens)), (rows, self.max_tokens)):
            ids = [self._engine.info.pad_token_id] * width
            self.compute([TokenizedText(ids, False)] * count)

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
        """Size of a vector and token limit of a text."""
        return {"dimensions": self.dimensions, "max_tokens": self.max_tokens}


def _transformer_config(snapshot: Path) -> dict[str, Any]:
    return read_json(snapshot / "sentence_bert_config.json") or {}


def _default_prompt(snapshot: Path) -> str:
    config = read_json(snapshot / "config_sentence_transformers.json") or {}
    name = config.get("default_prompt_name")
    return str(config["prompts"][name]) if name else ""


def _token_limit(snapshot: Path, engine: TextEncoder, wanted: int | None) -> int:
    limit = engine.info.max_tokens
    if wanted is None:
        return min(limit, _transformer_config(snapshot).get("max_seq_length") or limit)
    if wanted > limit:
        raise EngineStartFailed(
            f"engine.max_tokens is {wanted}, but the model takes {limit}; lower it"
        )
    return wanted
