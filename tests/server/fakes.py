# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Stand-ins: an engine without weights, and a clock that tests set by hand."""

from __future__ import annotations

import hashlib
import re
import threading
import time
import zlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from model_server.engines.base import (
    EngineInfo,
    EngineOutOfMemory,
    FloatArray,
    GenerationChunk,
    GenerationRequest,
    IntArray,
    PromptRefused,
    PromptTooLong,
    Purpose,
    TensorBatch,
    Text,
    TextEncoder,
    TextGenerator,
    TextTooLong,
    TokenizedText,
    UpstreamError,
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


def trace_name(event: str, text: str) -> str:
    """Name of the file that tells that the answer to `text` has `begun`, or `ended`."""
    return f"{event}-{hashlib.sha256(text.encode('utf-8')).hexdigest()}"


class FakeGenerator(TextGenerator):
    """Deterministic: it says the words of the last message, one chunk each, a token a word.

    Words with an effect: `fail` raises, `die` ends the thread, `long`, `refused` and `upstream`
    raise what a real engine raises, `slow` takes half a second, `hang` looks at nothing until
    `unblock`, `endless` repeats until it is cancelled, `wait:FILE` waits until the file exists.
    `stepped` lets each chunk out by one `step` of the test. `ended` counts the computations over.
    """

    info = EngineInfo("fake", "1", "cpu", "float32", HIDDEN, POSITIONS, 0)  # type: ignore[assignment]

    def __init__(self, parallel: int = 1, trace: Path | None = None) -> None:
        self._parallel = parallel
        self._trace = trace
        self.requests: list[GenerationRequest] = []
        self.entered = threading.Event()
        self.ended = 0
        self.threads: set[str] = set()
        self.stepped = False
        self._steps = threading.Semaphore(0)
        self._open = threading.Event()

    @property
    def parallel(self) -> int:
        """As many as told."""
        return self._parallel

    def step(self, chunks: int = 1) -> None:
        """Let chunks out."""
        self._steps.release(chunks)

    def unblock(self) -> None:
        """End what hangs."""
        self._open.set()

    def load(self, snapshot: Path, settings: EngineSettings, purpose: Purpose) -> None:
        """Load nothing."""

    def generate(
        self, request: GenerationRequest, cancelled: Callable[[], bool]
    ) -> Generator[GenerationChunk]:
        """Say the words, after their effects."""
        self.requests.append(request)
        self.threads.add(threading.current_thread().name)
        self.entered.set()
        prompt = sum(len(message.content.split()) for message in request.messages)
        words = request.messages[-1].content.split()
        said = 0
        self._tell("begun", request)
        try:
            while said < request.max_tokens and words and not cancelled():
                if not self._may_step(cancelled):
                    return
                word = words[0] if words[0] == "endless" else words.pop(0)
                self._effect(word, cancelled)
                said += 1
                yield GenerationChunk(f"{word} ", None, prompt, said)
            if not cancelled():
                yield GenerationChunk("", "length" if words else "stop", prompt, said)
        finally:
            self.ended += 1
            self._tell("ended", request)

    def _tell(self, event: str, request: GenerationRequest) -> None:
        if self._trace is not None:
            (self._trace / trace_name(event, request.messages[-1].content)).touch()

    def _may_step(self, cancelled: Callable[[], bool]) -> bool:
        while self.stepped and not self._steps.acquire(timeout=0.02):
            if cancelled():
                return False
        return True

    def _effect(self, word: str, cancelled: Callable[[], bool]) -> None:
        failures: dict[str, BaseException] = {
            "fail": RuntimeError("told to fail"),
            "die": SystemExit("told to die"),
            "long": PromptTooLong("The messages have 99 tokens; the model takes 32."),
            "refused": PromptRefused("The template does not take these messages."),
            "upstream": UpstreamError("The server behind this one answered 500: told to."),
        }
        if word in failures:
            raise failures[word]
        if word == "slow":
            time.sleep(0.5)
        if word == "endless":
            time.sleep(0.01)
        if word == "hang":
            assert self._open.wait(timeout=30)
        if word.startswith("wait:"):
            while not Path(word.removeprefix("wait:")).exists() and not cancelled():
                time.sleep(0.02)


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
