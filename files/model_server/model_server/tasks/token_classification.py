# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Token classification: the entities in a text, such as names.

A text of any length is read whole, in windows that overlap; of an overlap, each window decides the
half that lies further within it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..engines.base import EngineStartFailed, FloatArray, Purpose, TextEncoder, TokenizedText
from ..settings import ModelSettings
from .encoder import EncoderResult, EncoderTask, cost, softmax
from .words import joined, trim

_CANARY = "The quick brown fox jumps over the lazy dog."
_OUTSIDE = "O"
# BIO, BIOES, BIES, BMES and BILOU name the place of a token in its entity before the type.
_PREFIXED = re.compile(r"([BIMELSU])-(.+)")
_BEGIN, _END = frozenset("BSU"), frozenset("ELSU")


@dataclass(frozen=True)
class FoundEntity:
    """A part of a text, `start` and `end` in characters; its score is that of its weakest word."""

    text: str
    type: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, kw_only=True)
class EntitiesResult(EncoderResult):
    """Entities in the order of the text."""

    entities: list[FoundEntity]


class LabelledWord(NamedTuple):
    """A word with the label of its first token; `place` is the label's prefix, if it has one."""

    start: int
    end: int
    place: str
    type: str
    score: float


class TokenClassificationTask(EncoderTask[str, EntitiesResult]):
    """Entities with a model that labels tokens."""

    name: ClassVar[str] = "token_classification"
    purpose: ClassVar[Purpose] = Purpose.TOKENS

    def __init__(self, engine: TextEncoder, model: ModelSettings, max_tokens: int | None) -> None:
        """Read the scheme of the labels."""
        super().__init__(engine, model, max_tokens)
        self._overlap = self.max_tokens // 4
        self._places_and_types = _read_labels(self._labels)

    @property
    def predict_tasks(self) -> tuple[str, ...]:
        """Named entities."""
        return ("ner",)

    def prepare(self, request: str) -> list[TokenizedText]:
        """Tokenize the text, whole."""
        return self._engine.windows(request, self.max_tokens, self._overlap)

    def finish(
        self, request: str, items: Sequence[TokenizedText], rows: Sequence[FloatArray]
    ) -> EntitiesResult:
        """Join tokens to words, and words to entities."""
        offsets: list[tuple[int, int]] = []
        logits: list[FloatArray] = []
        for index, (item, row) in enumerate(zip(items, rows, strict=True)):
            inside = [place for place, segment in enumerate(item.segments) if segment is not None]
            before = self._overlap // 2 if index > 0 else 0
            after = self._overlap - self._overlap // 2 if index < len(items) - 1 else 0
            kept = inside[before : len(inside) - after]
            offsets += [item.offsets[place] for place in kept]
            logits += [row[place] for place in kept]
        words = self._words(request, offsets, logits)
        return EntitiesResult(entities=join_entities(request, words), **cost(items))

    @property
    def canary(self) -> str:
        """A fixed English sentence; any tokenizer can split it."""
        return _CANARY

    def verify(self, result: EntitiesResult) -> None:
        """Check that entities are parts of the text."""
        for entity in result.entities:
            if not entity.text or entity.text != _CANARY[entity.start : entity.end]:
                raise EngineStartFailed(f"canary: {entity} is no part of the text")

    def describe(self) -> dict[str, Any]:
        """Types of entities, and tokens of one window."""
        types = dict.fromkeys(kind for _place, kind in self._places_and_types if kind)
        return {**super().describe(), "labels": list(types)}

    def _words(
        self, text: str, offsets: Sequence[tuple[int, int]], logits: Sequence[FloatArray]
    ) -> list[LabelledWord]:
        words: list[LabelledWord] = []
        for (token_start, token_end), row in zip(offsets, logits, strict=True):
            start, end = trim(text, token_start, token_end)
            if words and (start < words[-1].end or _continues(text, words[-1], start)):
                words[-1] = words[-1]._replace(end=max(end, words[-1].end))
            elif start < end:
                probabilities = softmax(row)
                best = int(np.argmax(probabilities))
                score = float(probabilities[best])
                words.append(LabelledWord(start, end, *self._places_and_types[best], score))
        return words


def join_entities(text: str, words: Iterable[LabelledWord]) -> list[FoundEntity]:
    """Join neighbours of one type, as far as their places allow; words outside have no type."""
    entities: list[FoundEntity] = []
    last: LabelledWord | None = None
    for word in words:
        if not word.type:
            last = None
            continue
        grows = (
            last is not None
            and last.type == word.type
            and last.place not in _END
            and word.place not in _BEGIN
        )
        start, score = word.start, word.score
        if grows:
            entity = entities.pop()
            start, score = entity.start, min(entity.score, score)
        entities.append(FoundEntity(text[start : word.end], word.type, start, word.end, score))
        last = word
    return entities


def _continues(text: str, word: LabelledWord, start: int) -> bool:
    return start == word.end and joined(text, start)


def _read_labels(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Place and type of each label; both are empty outside of entities."""
    matches = [_PREFIXED.fullmatch(label) for label in labels]
    prefixed = all(match or label == _OUTSIDE for label, match in zip(labels, matches, strict=True))
    found = []
    for label, match in zip(labels, matches, strict=True):
        if label == _OUTSIDE:
            found.append(("", ""))
        elif prefixed and match:
            found.append((match[1], match[2]))
        else:
            found.append(("", label))
    return found
