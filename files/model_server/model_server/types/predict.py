# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The envelope `POST /predict`: one task, one text."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .base import RequestModel, ResponseModel, Text


class PredictRequest(RequestModel):
    """Body of `POST /predict`."""

    task_type: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        description="Task, such as `embedding`; one that the model lacks is refused with a list "
        "of those it has."
    )
    input_text: Text = Field(
        description="The text; for `qa` the context in which the answer is looked for."
    )
    other_text: Text | None = Field(
        default=None, description="The text to compare with, for `similarity` only."
    )
    question: Text | None = Field(default=None, description="The question, for `qa` only.")


class Cost(ResponseModel):
    """What every prediction tells beside its result."""

    tokens: int = Field(description="Tokens that were computed.")
    truncated: bool = Field(description="Whether a text was cut at the token limit.")


class EmbeddingPrediction(Cost):
    """Result of task `embedding`."""

    embedding: list[float]


class SimilarityPrediction(Cost):
    """Result of task `similarity`."""

    similarity: float = Field(description="Cosine of the two vectors, from -1 to 1.")


class LabelScore(ResponseModel):
    """A label and its probability."""

    label: str
    score: float


class ClassificationPrediction(Cost):
    """Result of the tasks `classification` and `sentiment`."""

    label: str = Field(description="The likeliest label.")
    score: float = Field(description="Its probability.")
    labels: list[LabelScore] = Field(description="All labels, the likeliest first.")


class Entity(ResponseModel):
    """One entity. `start` and `end` count characters (Unicode code points) of the text."""

    text: str
    type: str
    start: int
    end: int = Field(description="One past the last character.")
    score: float = Field(description="Probability of its least certain word.")


class EntitiesPrediction(Cost):
    """Result of task `ner`."""

    entities: list[Entity]


class AnswerPrediction(Cost):
    """Result of task `qa`: a part of `input_text`."""

    answer: str = Field(description="Empty when the text has no words.")
    start: int = Field(description="First character (Unicode code point) in `input_text`.")
    end: int = Field(description="One past the last character.")
    score: float = Field(description="Probability of this part; low when nothing answers.")


class PredictResponse(ResponseModel):
    """Answer of `POST /predict`."""

    result: (
        EmbeddingPrediction
        | SimilarityPrediction
        | ClassificationPrediction
        | EntitiesPrediction
        | AnswerPrediction
    )
