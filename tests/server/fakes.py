# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Stand-ins: an engine without weights, and a clock that tests set by hand."""

from __future__ import annotations

import re
import threading
import time
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from model_server.engines.base import (
    EngineInfo,
    EngineOutOfMemory,
    FloatArray,
    IntArray,
    Purpose,
    TensorBatch,
    Text,
    TextEncoder,
    TextTooLong,
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
    """Deterministic: what a token gives depends on the token only.

    With `labels`, a text's logit of a label is how often the label stands in it as a word, and a
    token that is a label has that one, any other the first. A span goes from the word `from` to the
    word `until`.
    Words with an effect: `poison` raises, `nan` gives NaN, `die` kills the batcher's thread,
    `slow` takes a second.
    `rows_that_fit` limits a batch's rows; `block` holds every batch until `unblock`.
    """

    def __init__(
        self,
        rows_that_fit: int = 10_000,
        load_error: Exception | None = None,
        labels: tuple[str, ...] = (),
    ) -> None:
        self.labels = labels
        self.purpose = Purpose.STATES
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

    @property
    def info(self) -> EngineInfo:
        """Facts of a model that was never loaded."""
        return EngineInfo("fake", "1", "cpu", "float32", HIDDEN, POSITIONS, 0, self.labels)

    def load(self, snapshot: Path, settings: EngineSettings, purpose: Purpose) -> None:
        """Load nothing, or fail as told."""
        if self.load_error is not None:
            raise self.load_error
        self.purpose = purpose

    def tokenize(self, texts: Sequence[Text], max_tokens: int) -> list[TokenizedText]:
        """Split on white space between special tokens."""
        split = [self._windows(text, max_tokens, 0, 0) for text in texts]
        return [replace(first, truncated=bool(others)) for first, *others in split]

    def windows(self, text: Text, max_tokens: int, overlap: int) -> list[TokenizedText]:
        """Split on white space, in as many windows as it takes."""
        return self._windows(text, max_tokens, overlap, max(1, 2 * overlap))

    @staticmethod
    def _windows(text: Text, max_tokens: int, overlap: int, least: int) -> list[TokenizedText]:
        head, body = text if isinstance(text, tuple) else (None, text)
        front = [(_CLS, (0, 0), None)]
        if head is not None:
            front += [*_words(head, 0), (_SEP, (0, 0), None)]
        room = max_tokens - len(front) - 1
        if room < max(least, 0 if head is None else 1):
            raise TextTooLong(f"of {max_tokens} tokens it leaves {max(0, room)} for the text")
        words = _words(body, 0 if head is None else 1)
        starts = range(0, max(1, len(words) - overlap), max(1, room - overlap))
        rows = [[*front, *words[at : at + room], (_SEP, (0, 0), None)] for at in starts]
        return [TokenizedText(*_columns(row)) for row in rows]

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
        numbers = self._numbers(ids).astype(np.float32)
        numbers[(ids == word_id("nan")).any(axis=1)] = np.nan
        return numbers

    def _numbers(self, ids: IntArray) -> FloatArray:
        if self.purpose is Purpose.STATES:
            return _STATES[ids]
        names = ("from", "until") if self.purpose is Purpose.SPAN else self.labels
        named = np.stack([ids == word_id(name) for name in names], axis=-1).astype(np.float32)
        if self.purpose is Purpose.SEQUENCE:
            return named.sum(axis=1)
        if self.purpose is Purpose.TOKENS:
            named[..., 0] += 0.5
        return 10 * named


def _words(text: str, segment: int) -> list[tuple[int, tuple[int, int], int | None]]:
    return [(word_id(found[0]), found.span(), segment) for found in re.finditer(r"\S+", text)]


def _columns(row: Sequence[tuple[int, tuple[int, int], int | None]]) -> tuple[Any, ...]:
    """The fields of a TokenizedText."""
    ids, offsets, segments = zip(*row, strict=True)
    return list(ids), False, [segment or 0 for segment in segments], offsets, segments


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
