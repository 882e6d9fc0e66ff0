# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The envelope `POST /predict`: one task, one text."""

from __future__ import annotations

from pydantic import Field

from .base import RequestModel, ResponseModel, Text


class PredictRequest(RequestModel):
    """Body of `POST /predict`."""

    task_type: str = Field(min_length=1, max_length=64, description="Task, such as `embedding`.")
    input_text: Text = Field(description="The text.")


class EmbeddingPrediction(ResponseModel):
    """Result of task `embedding`."""

    embedding: list[float]
    tokens: int = Field(description="Tokens that were computed.")
    truncated: bool = Field(description="Whether the text was cut at the token limit.")


class PredictResponse(ResponseModel):
    """Answer of `POST /predict`."""

    result: EmbeddingPrediction
