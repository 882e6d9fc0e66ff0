# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Wire models: what stands in request and response bodies. They import nothing of the server."""

from __future__ import annotations

from .errors import ErrorBody, ErrorResponse
from .openai import (
    Embedding,
    EmbeddingsRequest,
    EmbeddingsResponse,
    Model,
    ModelList,
    Usage,
)
from .operations import Health, Readiness
from .predict import EmbeddingPrediction, PredictRequest, PredictResponse

__all__ = [
    "Embedding",
    "EmbeddingPrediction",
    "EmbeddingsRequest",
    "EmbeddingsResponse",
    "ErrorBody",
    "ErrorResponse",
    "Health",
    "Model",
    "ModelList",
    "PredictRequest",
    "PredictResponse",
    "Readiness",
    "Usage",
]
