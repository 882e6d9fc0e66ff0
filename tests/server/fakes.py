# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Stand-ins: an engine without weights, and a clock that tests set by hand."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model_server.engines.base import (
    EngineInfo,
    EngineOutOfMemory,
    FloatArray,
    Purpose,
    TensorBatch,
    Text,
    TextEncoder,
    TokenizedText,
)
from model_server.settings import EngineSettings

HIDDEN = 8
POSITIONS = 32
_WORDS = 100_000
_CLS, _SEP, _FIRST_WORD = 1, 2, 3
_STATES = np.random.default_rng(7).normal(size=(_WORDS + _FIRST_WORD, HIDDEN)).astype(np.float32)


def word_id(word: str) -> int:
    """Token id of a word; equal words have equal ids in every process."""
    return zlib.crc32(word.encode("utf-8")) % _WORDS + _FIRST_WORD


class FakeEngine(TextEncoder):
    """Deterministic: a token's state depends on the token only.

    Words with an effect: `poison` raises, `nan` gives NaN, `die` kills the batcher's thread,
    `slow` takes a second.
    `rows_that_fit` limits a batch's rows; `block` holds every batch until `unblock`.
    """

    info = EngineInfo("fake", "1", "cpu", "float32", HIDDEN, POSITIONS, 0)  # type: ignore[assignment]

    def __init__(self, rows_that_fit: int = 10_000, load_error: Exception | None = None) -> None:
        self.rows_that_fit = rows_that_fit
        self.load_error = load_error
        self.batches: list[tuple[int, ...]] = []
        self.entered = threading.Event()
        self._open = threading.Event()
        self._open.set()

    def block(self) -> None:
        """Hold the next batches; `entered` tells when one is held."""
        self.entered.clear()
        self._open.clear()

    def unblock(self) -> None:
        """Let batches pass."""
        self._open.set()

    def load(self, snapshot: Path, settings: EngineSettings, purpose: Purpose) -> None:
        """Load nothing, or fail as told."""
        if self.load_error is not None:
            raise self.load_error

    def tokenize(self, texts: Sequence[Text], max_tokens: int) -> list[TokenizedText]:
        """Split on white space between two special tokens."""
        rows = [[word_id(word) for word in str(text).split()] for text in texts]
        return [
            TokenizedText([_CLS, *row[: max_tokens - 2], _SEP], len(row) > max_tokens - 2)
            for row in rows
        ]

    def encode(self, batch: TensorBatch) -> FloatArray:
        """Look up states, after the effects."""
        self.entered.set()
        assert self._open.wait(timeout=30)
        ids = batch.input_ids
        if len(ids) > self.rows_that_fit:
            raise EngineOutOfMemory(f"{len(ids)} rows")
        if word_id("die") in ids:
            raise SystemExit("told to die")
        if word_id("slow") in ids:
            time.sleep(1)
        if word_id("poison") in ids:
            raise RuntimeError("told to fail")
        self.batches.append(ids.shape)
        states = _STATES[ids].copy()
        states[ids == word_id("nan")] = np.nan
        return states


class FakeClock:
    """A clock in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Read the clock."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move the clock."""
        self.now += seconds
