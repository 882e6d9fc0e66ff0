# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What an engine is: it loads a snapshot, then turns token ids into numbers, or messages into text.

An encoder (`TextEncoder`) is fed by the batcher's thread, batch by batch. A generator
(`TextGenerator`) runs as many answers at once as it has places, each in the thread of its request.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..settings import EngineSettings

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]


Text = str | tuple[str, str]
"""A text, or a pair of texts that the model reads together."""


class Purpose(enum.Enum):
    """What the engine's numbers are for; it decides which head of a model is loaded."""

    STATES = "states"
    SEQUENCE = "sequence"
    TOKENS = "tokens"
    SPAN = "span"
    GENERATION = "generation"


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


class TextTooLong(EngineError):
    """The first text of a pair leaves too little room for the second."""


class PromptTooLong(EngineError):
    """The prompt leaves no room for an answer in the model's context."""


class PromptRefused(EngineError):
    """The model's chat template does not take these messages."""


class UpstreamError(EngineError):
    """The server that computes for this one failed; the message says how, without a secret."""


@dataclass(frozen=True)
class EngineInfo:
    """What a loaded engine is. `max_tokens` is the hard limit of the model's positions.

    `labels` are those of a classifying head, in the order of its outputs.
    """

    name: str
    version: str
    device: str
    dtype: str
    hidden_size: int
    max_tokens: int
    pad_token_id: int
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class TensorBatch:
    """Token ids, attention mask and segment ids, all int64 of shape (rows, tokens)."""

    input_ids: IntArray
    attention_mask: IntArray
    token_type_ids: IntArray

    @classmethod
    def of(cls, rows: Sequence[TokenizedText], pad_token_id: int) -> TensorBatch:
        """Pad rows on the right to the longest."""
        width = max(len(row.ids) for row in rows)
        ids = np.full((len(rows), width), pad_token_id, dtype=np.int64)
        mask = np.zeros((len(rows), width), dtype=np.int64)
        types = np.zeros((len(rows), width), dtype=np.int64)
        for index, row in enumerate(rows):
            ids[index, : len(row.ids)] = row.ids
            mask[index, : len(row.ids)] = 1
            types[index, : len(row.type_ids)] = row.type_ids
        return cls(ids, mask, types)


@dataclass(frozen=True)
class TokenizedText:
    """One tokenized text or pair, special tokens included, and whether it was cut.

    `offsets` has the first and one past the last character (code point) of each token in its own
    text, `segments` says which text that is (0 or 1; None for special tokens); both only for the
    purposes TOKENS and SPAN, whose answers point into the text.
    """

    ids: Sequence[int]
    truncated: bool
    type_ids: Sequence[int] = ()
    offsets: Sequence[tuple[int, int]] = ()
    segments: Sequence[int | None] = ()

    @property
    def tokens(self) -> int:
        """Tokens that are computed."""
        return len(self.ids)


@dataclass(frozen=True)
class Message:
    """One message of a prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class GenerationRequest:
    """What to answer, and how. `stop` texts end the answer and are not part of it."""

    messages: Sequence[Message]
    max_tokens: int
    temperature: float
    top_p: float
    stop: Sequence[str] = ()
    seed: int | None = None


@dataclass(frozen=True)
class GenerationChunk:
    """An addition to the answer, and the tokens of prompt and answer as far as they are known.

    The last one has `finish_reason` and the counts of the whole; its text may be empty.
    """

    text: str
    finish_reason: Literal["stop", "length"] | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Engine(ABC):
    """A model in memory. `credential` is a secret that the engine may need to load."""

    credential: str | None = None

    @property
    @abstractmethod
    def info(self) -> EngineInfo:
        """What was loaded."""

    @abstractmethod
    def load(self, snapshot: Path, settings: EngineSettings, purpose: Purpose) -> None:
        """Read the snapshot into memory; raise EngineStartFailed when it cannot be served."""

    def close(self) -> None:  # noqa: B027  # most engines hold nothing that must be given back
        """Give back what the engine holds."""


class TextEncoder(Engine):
    """An engine that turns text into numbers."""

    @abstractmethod
    def tokenize(self, texts: Sequence[Text], max_tokens: int) -> list[TokenizedText]:
        """Tokenize, cutting each at `max_tokens`; of a pair the second text is cut.

        Safe to call from many threads. Raises TextTooLong when nothing of a second text is left.
        """

    @abstractmethod
    def windows(self, text: Text, max_tokens: int, overlap: int) -> list[TokenizedText]:
        """Tokenize whole, in as many windows of `max_tokens` as it takes; a pair's second text.

        A window begins with the last `overlap` tokens of the one before. Safe to call from many
        threads. Raises TextTooLong when a window would have less than twice `overlap` for the text.
        """

    @abstractmethod
    def encode(self, batch: TensorBatch) -> FloatArray:
        """Run the model; float32, row i answers row i. By purpose the shape is

        STATES (rows, tokens, hidden size); SEQUENCE (rows, labels), logits; TOKENS (rows, tokens,
        labels), logits; SPAN (rows, tokens, 2), logits of start and end.
        Called from one thread only; raises EngineOutOfMemory.
        """


class TextGenerator(Engine):
    """An engine that continues a conversation."""

    @property
    @abstractmethod
    def parallel(self) -> int:
        """How many answers may be generated at once."""

    @abstractmethod
    def generate(
        self, request: GenerationRequest, cancelled: Callable[[], bool]
    ) -> Generator[GenerationChunk]:
        """Yield the answer as it is made.

        Called from at most `parallel` threads at once. Soon after `cancelled` answers True, or the
        iterator is closed, the computation has ended. An answer that reaches the end of the
        context ends there, with `length`. Raises PromptTooLong, PromptRefused or UpstreamError.
        """
