# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Wire models: what stands in request and response bodies. They import nothing of the server."""

from __future__ import annotations

from .chat import (
    AnswerMessage,
    ChatChoice,
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatDelta,
    ChatMessage,
    ChatUsage,
    ChunkChoice,
    FinishReason,
    StreamOptions,
    TextPart,
)
from .conversation import (
    ChatEvent,
    ChatReply,
    ChatRequest,
    ConversationList,
    ConversationsDeleted,
    ConversationSummary,
    SocketToken,
    Turn,
)
from .errors import ErrorBody, ErrorResponse
from .events import ServerSentEvent
from .openai import (
    Embedding,
    EmbeddingsRequest,
    EmbeddingsResponse,
    Model,
    ModelList,
    Usage,
)
from .operations import Health, Readiness
from .predict import (
    AnswerPrediction,
    ClassificationPrediction,
    EmbeddingPrediction,
    EntitiesPrediction,
    Entity,
    LabelScore,
    PredictRequest,
    PredictResponse,
    SimilarityPrediction,
)
from .rerank import (
    DocumentObject,
    RerankedDocument,
    RerankRequest,
    RerankResponse,
    RerankResult,
    RerankUsage,
)
from .session import LoginRequest, LoginResponse

__all__ = [
    "AnswerMessage",
    "AnswerPrediction",
    "ChatChoice",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatCompletionRequest",
    "ChatDelta",
    "ChatEvent",
    "ChatMessage",
    "ChatReply",
    "ChatRequest",
    "ChatUsage",
    "ChunkChoice",
    "ClassificationPrediction",
    "ConversationList",
    "ConversationSummary",
    "ConversationsDeleted",
    "DocumentObject",
    "Embedding",
    "EmbeddingPrediction",
    "EmbeddingsRequest",
    "EmbeddingsResponse",
    "EntitiesPrediction",
    "Entity",
    "ErrorBody",
    "ErrorResponse",
    "FinishReason",
    "Health",
    "LabelScore",
    "LoginRequest",
    "LoginResponse",
    "Model",
    "ModelList",
    "PredictRequest",
    "PredictResponse",
    "Readiness",
    "RerankRequest",
    "RerankResponse",
    "RerankResult",
    "RerankUsage",
    "RerankedDocument",
    "ServerSentEvent",
    "SimilarityPrediction",
    "SocketToken",
    "StreamOptions",
    "TextPart",
    "Turn",
    "Usage",
]
