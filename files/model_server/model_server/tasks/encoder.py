# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What the tasks of a text encoder share: start, token limit, computation and its checks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from ..engines.base import (
    Engine,
    EngineStartFailed,
    FloatArray,
    InvalidOutput,
    Purpose,
    TensorBatch,
    TextEncoder,
    TokenizedText,
)
from ..settings import ModelSettings, Settings
from .base import BatchTask, RequestT, ResultT
from .snapshot import read_json

# Tokenizers without a limit state 1e30.
_NO_LIMIT = 1_000_000


@dataclass(frozen=True, kw_only=True)
class EncoderResult:
    """What every result tells: tokens that were computed, and how many texts were cut."""

    tokens: int
    truncated: int


class EncoderTask(BatchTask[RequestT, TokenizedText, FloatArray, ResultT]):
    """A task of a text encoder: items are tokenized texts or pairs, rows the model's numbers."""

    def __init__(self, engine: TextEncoder, model: ModelSettings, max_tokens: int | None) -> None:
        """Take a loaded engine; `max_tokens` None takes the limit that the snapshot states."""
        self._engine = engine
        self._labels = engine.info.labels
        self.max_tokens = _token_limit(model.path, engine, max_tokens)

    @classmethod
    def create(cls, engine: Engine, settings: Settings) -> Self:
        """Make the task for a loaded engine."""
        if not isinstance(engine, TextEncoder):
            raise EngineStartFailed(f"engine {settings.engine.name} cannot encode text")
        return cls(engine, settings.model, settings.engine.max_tokens)

    @abstractmethod
    def prepare(self, request: RequestT) -> list[TokenizedText]:
        """Tokenize a request."""

    def compute(self, items: Sequence[TokenizedText]) -> list[FloatArray]:
        """Run the model; raise InvalidOutput for a wrong shape or numbers that are not finite."""
        batch = TensorBatch.of(items, self._engine.info.pad_token_id)
        numbers = self._engine.encode(batch)
        expected = self._shape(batch)
        if numbers.shape != expected:
            raise InvalidOutput(f"the model gave numbers of shape {numbers.shape}, not {expected}")
        rows = self._rows(numbers, batch)
        if not all(np.isfinite(row).all() for row in rows):
            raise InvalidOutput("the model gave numbers that are not finite")
        return rows

    def warm_up(self, max_batch_tokens: int) -> None:
        """Compute one short text and the largest batch."""
        rows = max(1, max_batch_tokens // self.max_tokens)
        for count, width in ((1, min(8, self.max_tokens)), (rows, self.max_tokens)):
            ids = [self._engine.info.pad_token_id] * width
            self.compute([TokenizedText(ids, False)] * count)

    def describe(self) -> dict[str, Any]:
        """Token limit of a text."""
        return {"max_tokens": self.max_tokens}

    def _rows(self, numbers: FloatArray, batch: TensorBatch) -> list[FloatArray]:
        """The row of each item, without padding."""
        if self.purpose is Purpose.SEQUENCE:
            return list(numbers)
        lengths = batch.attention_mask.sum(axis=1)
        return [row[:length] for row, length in zip(numbers, lengths, strict=True)]

    def _shape(self, batch: TensorBatch) -> tuple[int, ...]:
        rows, tokens = batch.input_ids.shape
        info = self._engine.info
        return {
            Purpose.STATES: (rows, tokens, info.hidden_size),
            Purpose.SEQUENCE: (rows, len(info.labels)),
            Purpose.TOKENS: (rows, tokens, len(info.labels)),
            Purpose.SPAN: (rows, tokens, 2),
        }[self.purpose]


def cost(items: Sequence[TokenizedText]) -> dict[str, int]:
    """The fields of `EncoderResult` for the items of one request."""
    return {
        "tokens": sum(item.tokens for item in items),
        "truncated": sum(item.truncated for item in items),
    }


def sigmoid(logits: FloatArray) -> FloatArray:
    """Probability of each logit by itself; exact at both ends."""
    probabilities: FloatArray = np.exp(-np.logaddexp(0.0, -logits))
    return probabilities


def softmax(logits: FloatArray, axis: int = -1) -> FloatArray:
    """Probabilities along an axis, their sum 1."""
    powers: FloatArray = np.exp(logits - logits.max(axis=axis, keepdims=True))
    normalized: FloatArray = powers / powers.sum(axis=axis, keepdims=True)
    return normalized


def _token_limit(snapshot: Path, engine: TextEncoder, wanted: int | None) -> int:
    limit = engine.info.max_tokens
    if wanted is None:
        config = read_json(snapshot / "sentence_bert_config.json") or {}
        stated: int = min(limit, config.get("max_seq_length") or limit)
        if stated > _NO_LIMIT:
            raise EngineStartFailed(f"{snapshot} states no token limit; set engine.max_tokens")
        return stated
    if wanted > limit:
        raise EngineStartFailed(
            f"engine.max_tokens is {wanted}, but the model takes {limit}; lower it"
        )
    return wanted
