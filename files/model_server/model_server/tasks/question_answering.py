# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Question answering: the part of a text that answers a question.

The score is that of Transformers' pipeline: the product of the probabilities of start and end among
the text's tokens and the one in front of all, which models choose when there is no answer. So a low
score says that the text does not answer. A text of any length is read whole, in windows that
overlap; the best answer of all windows is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from ..engines.base import (
    EngineStartFailed,
    FloatArray,
    Purpose,
    TextEncoder,
    TextTooLong,
    TokenizedText,
)
from ..errors import InvalidRequest
from ..settings import ModelSettings
from .encoder import EncoderResult, EncoderTask, cost, softmax
from .words import trim, widen

# Twice what Transformers' pipeline takes: in Chinese each character is a token.
MAX_ANSWER_TOKENS = 30


@dataclass(frozen=True)
class Question:
    """A question, and the text in which its answer is looked for."""

    question: str
    context: str


@dataclass(frozen=True, kw_only=True)
class AnswerResult(EncoderResult):
    """A part of the context, `start` and `end` in characters; empty when it has no words."""

    answer: str
    start: int
    end: int
    score: float


class _Span(NamedTuple):
    score: float
    start: int
    end: int


class QuestionAnsweringTask(EncoderTask[Question, AnswerResult]):
    """Extractive answers with a model that points to their start and end."""

    name: ClassVar[str] = "question_answering"
    purpose: ClassVar[Purpose] = Purpose.SPAN

    def __init__(self, engine: TextEncoder, model: ModelSettings, max_tokens: int | None) -> None:
        """Choose how far windows overlap: an answer that one cuts lies whole in the next."""
        super().__init__(engine, model, max_tokens)
        self._overlap = self.max_tokens // 4

    @property
    def predict_tasks(self) -> tuple[str, ...]:
        """An answer to a question."""
        return ("qa",)

    def prepare(self, request: Question) -> list[TokenizedText]:
        """Tokenize the question with each window of the context."""
        try:
            return self._engine.windows(
                (request.question, request.context), self.max_tokens, self._overlap
            )
        except TextTooLong as error:
            raise InvalidRequest(
                f"The question is too long: {error}. Shorten it.", param="question"
            ) from error

    def finish(
        self, request: Question, items: Sequence[TokenizedText], rows: Sequence[FloatArray]
    ) -> AnswerResult:
        """Take the best span of all windows, and widen it to whole words."""
        spans = [_best_span(item, row) for item, row in zip(items, rows, strict=True)]
        best = max(spans, key=lambda span: span.score)
        start, end = widen(request.context, *trim(request.context, best.start, best.end))
        return AnswerResult(
            answer=request.context[start:end], start=start, end=end, score=best.score, **cost(items)
        )

    @property
    def canary(self) -> Question:
        """A question about a fixed English sentence, so short that any token limit leaves room."""
        return Question("Who?", "The quick brown fox jumps over the lazy dog.")

    def verify(self, result: AnswerResult) -> None:
        """Check that the answer is a part of the context."""
        if not result.answer or result.answer not in self.canary.context:
            raise EngineStartFailed(f"canary: {result.answer!r} is no part of the context")


def _best_span(item: TokenizedText, logits: FloatArray) -> _Span:
    """The likeliest span of one window within the second text."""
    inside = np.array([place for place, segment in enumerate(item.segments) if segment == 1], int)
    if not len(inside):
        return _Span(0.0, 0, 0)
    front = logits[:1] if item.segments[0] is None else logits[:0]
    probabilities = softmax(np.concatenate([front, logits[inside]]), axis=0)[len(front) :]
    products = np.outer(probabilities[:, 0], probabilities[:, 1])
    allowed = np.tril(np.triu(products), MAX_ANSWER_TOKENS - 1)
    first, last = np.unravel_index(int(np.argmax(allowed)), allowed.shape)
    return _Span(
        float(allowed[first, last]),
        item.offsets[inside[first]][0],
        item.offsets[inside[last]][1],
    )
