# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The surface `/v1/rerank`, as Jina, Cohere and text-embeddings-inference have it."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response

from ..runtime import Runtime
from ..tasks.rerank import RerankQuery
from ..types import RerankRequest, RerankResponse
from ._docs import client
from ._envelope import remember
from ._served import require_model, respond


def build(runtime: Runtime) -> APIBlueprint:
    """Create the blueprint for one runtime."""
    blueprint = APIBlueprint("rerank", __name__, tag="Rerank")
    settings = runtime.settings

    @blueprint.post("/v1/rerank")
    @blueprint.doc(
        **client(
            settings,
            "Order documents by how well they answer a query",
            *(400, 401, 404, 413, 415, 500, 503, 504),
            description="Documents that exceed the model's token limit together with the query "
            "are cut there; the header `X-Truncated-Inputs` tells how many were. Documents of "
            "equal score stay in their order.",
        )
    )
    @blueprint.input(RerankRequest, arg_name="body")
    @blueprint.output(RerankResponse)
    def rerank(body: RerankRequest) -> Response:
        require_model(settings.service, body.model)
        texts = body.texts
        record = remember([body.query, *texts])
        result, timing = runtime.run(RerankQuery(body.query, texts), len(texts))
        scores = result.logits if body.score == "logit" else result.probabilities

        def ranked(index: int) -> dict[str, Any]:
            document = {"document": {"text": texts[index]}} if body.return_documents else {}
            return {"index": index, "relevance_score": scores[index], **document}

        answer = {
            "object": "list",
            "id": f"rerank-{record.request_id}",
            "model": settings.service.served_name,
            "results": [ranked(index) for index in result.order[: body.top_n]],
            "usage": {"total_tokens": result.tokens},
        }
        return respond(answer, result, timing, len(texts))

    return blueprint
