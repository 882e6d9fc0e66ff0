# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Rerank: how well each of several documents answers a query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

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
from .encoder import EncoderResult, EncoderTask, cost, sigmoid


@dataclass(frozen=True)
class RerankQuery:
    """A query, and the documents to compare with it."""

    query: str
    documents: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class RerankScores(EncoderResult):
    """One score for each document, in their order.

    `logits` are the model's numbers as FlagEmbedding gives them, `probabilities` their sigmoid as
    ModelScope's text_ranking gives it.
    """

    logits: list[float]
    probabilities: list[float]

    @property
    def order(self) -> list[int]:
        """Positions of the documents, best first; equal ones stay in their order."""
        return sorted(range(len(self.logits)), key=lambda index: -self.logits[index])


class RerankTask(EncoderTask[RerankQuery, RerankScores]):
    """Reranking with a cross-encoder of one output."""

    name: ClassVar[str] = "rerank"
    purpose: ClassVar[Purpose] = Purpose.SEQUENCE

    def __init__(self, engine: TextEncoder, model: ModelSettings, max_tokens: int | None) -> None:
        """Refuse a model with more than the one output that a score is."""
        super().__init__(engine, model, max_tokens)
        if len(self._labels) != 1:
            raise EngineStartFailed(
                f"{model.path} tells {len(self._labels)} labels apart; rerank needs a model with "
                "one output. Serve it for classification"
            )

    def prepare(self, request: RerankQuery) -> list[TokenizedText]:
        """Tokenize the query with each document; a document beyond the limit is cut."""
        try:
            return self._engine.tokenize(
                [(request.query, document) for document in request.documents], self.max_tokens
            )
        except TextTooLong as error:
            raise InvalidRequest(
                f"The query is too long: {error}. Shorten it.", param="query"
            ) from error

    def finish(
        self, request: RerankQuery, items: Sequence[TokenizedText], rows: Sequence[FloatArray]
    ) -> RerankScores:
        """Give each document its score, in both conventions."""
        return RerankScores(
            logits=[float(row[0]) for row in rows],
            probabilities=[float(sigmoid(row)[0]) for row in rows],
            **cost(items),
        )

    @property
    def canary(self) -> RerankQuery:
        """A query, so short that any token limit leaves room, and two documents."""
        return RerankQuery("fox", ("The fox jumps over the dog.", "A table."))

    def verify(self, result: RerankScores) -> None:
        """Check that each document has a score."""
        if len(result.logits) != len(self.canary.documents):
            raise EngineStartFailed(f"canary: {len(result.logits)} scores for two documents")
