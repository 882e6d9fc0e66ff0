# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Reranking in the shape that Jina, Cohere and text-embeddings-inference share.

https://jina.ai/reranker, https://docs.cohere.com/reference/rerank
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .base import Count, RequestModel, ResponseModel, Text


class DocumentObject(RequestModel):
    """A document as an object, as Jina writes it."""

    text: Text


class RerankRequest(RequestModel):
    """Body of `POST /v1/rerank`."""

    model: str = Field(description="Name of the served model.")
    query: Text = Field(description="What is looked for.")
    documents: Annotated[list[Text | DocumentObject], Field(min_length=1)] = Field(
        description="The texts to order."
    )
    top_n: Count | None = Field(default=None, description="How many are returned; all.")
    return_documents: bool = Field(default=False, description="Return the texts as well.")
    score: Literal["probability", "logit"] = Field(
        default="probability",
        description="`probability` is the sigmoid of the model's logit (ModelScope, Cohere); "
        "`logit` is the raw score (FlagEmbedding).",
    )

    @property
    def texts(self) -> list[str]:
        """The documents as text."""
        return [item if isinstance(item, str) else item.text for item in self.documents]


class RerankedDocument(ResponseModel):
    """The text of a document."""

    text: str


class RerankResult(ResponseModel):
    """One document, best first."""

    index: int = Field(description="Position in the request.")
    relevance_score: float
    document: RerankedDocument | None = None


class RerankUsage(ResponseModel):
    """Tokens that were computed."""

    total_tokens: int


class RerankResponse(ResponseModel):
    """Answer of `POST /v1/rerank`."""

    object: Literal["list"] = "list"
    id: str
    model: str
    results: list[RerankResult]
    usage: RerankUsage
