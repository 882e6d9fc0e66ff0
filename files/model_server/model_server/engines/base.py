# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What an engine is: it loads a snapshot, then turns batches of token ids into hidden states."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..settings import EngineSettings

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]


class EngineError(Exception):
    """Base of every failure of an engine."""


class EngineUnavailable(EngineError):
    """A package that the engine needs is not installed."""


class EngineStartFailed(EngineError):
    """The snapshot cannot be served; the message says why."""


class EngineOutOfMemory(EngineError):
    """The batch does not fit; a smaller one may."""


class InvalidOutput(EngineError):
    """The engine answered with the wrong number of rows, or with numbers that are not finite."""


@dataclass(frozen=True)
class EngineInfo:
    """What a loaded engine is. `max_tokens` is the hard limit of the model's positions."""

    name: str
    version: str
    device: str
    dtype: str
    hidden_size: int
    max_tokens: int
    pad_token_id: int


@dataclass(frozen=True)
class TensorBatch:
    """Token ids and attention mask, both int64 of shape (rows, tokens)."""

    input_ids: IntArray
    attention_mask: IntArray

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]], pad_token_id: int) -> TensorBatch:
        """Pad rows on the right to the longest."""
        width = max(len(row) for row in rows)
        ids = np.full((len(rows), width), pad_token_id, dtype=np.int64)
        mask = np.zeros((len(rows), width), dtype=np.int64)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        return cls(ids, mask)


@dataclass(frozen=True)
class TensorOutputs:
    """Last hidden states, float32 of shape (rows, tokens, hidden size); row i answers row i."""

    last_hidden_state: FloatArray


@dataclass(frozen=True)
class TokenizedText:
    """Token ids of one text, special tokens included, and whether the text was cut."""

    ids: Sequence[int]
    truncated: bool


class Engine(ABC):
    """A model in memory."""

    @property
    @abstractmethod
    def info(self) -> EngineInfo:
        """What was loaded."""

    @abstractmethod
    def load(self, snapshot: Path, settings: EngineSettings) -> None:
        """Read the snapshot into memory; raise EngineStartFailed when it cannot be served."""


class TextEncoder(Engine):
    """An engine that turns text into hidden states."""

    @abstractmethod
    def tokenize(self, texts: Sequence[str], max_tokens: int) -> list[TokenizedText]:
        """Tokenize, cutting each text at `max_tokens`. Safe to call from many threads."""

    @abstractmethod
    def encode(self, batch: TensorBatch) -> TensorOutputs:
        """Run the model. Called from one thread only; raises EngineOutOfMemory."""
