# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The surface `/v1/embeddings`, in the shape of OpenAI's API."""

from __future__ import annotations

import base64

import numpy as np
from apiflask import APIBlueprint
from flask import Response

from ..engines.base import FloatArray
from ..errors import InvalidRequest
from ..runtime import Runtime
from ..types import EmbeddingsRequest, EmbeddingsResponse
from ._docs import client
from ._envelope import remember
from ._served import require_model, respond


def build(runtime: Runtime) -> APIBlueprint:
    """Create the blueprint for one runtime."""
    blueprint = APIBlueprint("embeddings", __name__, tag="OpenAI")
    settings = runtime.settings
    service = settings.service

    @blueprint.post("/v1/embeddings")
    @blueprint.doc(
        **client(
            settings,
            "Embed texts",
            *(400, 401, 404, 413, 415, 500, 503, 504),
            description="Texts beyond the model's token limit are cut there, as "
            "sentence-transformers does; the header `X-Truncated-Inputs` tells how many were. "
            "`X-Vector-Space` names the space of the vectors, as `fingerprint` of "
            "`/v1/models` does.",
        )
    )
    @blueprint.input(EmbeddingsRequest, arg_name="body")
    @blueprint.output(EmbeddingsResponse)
    def embeddings(body: EmbeddingsRequest) -> Response:
        require_model(service, body.model)
        own = runtime.task.dimensions
        if body.dimensions not in (None, own):
            raise InvalidRequest(
                f"The model gives {own} dimensions and cannot give {body.dimensions}.",
                param="dimensions",
            )
        remember(body.texts)
        result, timing = runtime.run(body.texts, len(body.texts))
        encode = _base64 if body.encoding_format == "base64" else _floats
        answer = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": encode(vector)}
                for index, vector in enumerate(result.vectors)
            ],
            "model": service.served_name,
            "usage": {"prompt_tokens": result.tokens, "total_tokens": result.tokens},
        }
        response = respond(answer, result, timing, len(body.texts))
        response.headers["X-Vector-Space"] = runtime.task.fingerprint
        return response

    return blueprint


def _floats(vector: FloatArray) -> list[float]:
    floats: list[float] = vector.tolist()
    return floats


def _base64(vector: FloatArray) -> str:
    return base64.b64encode(vector.astype(np.dtype("<f4")).tobytes()).decode("ascii")
