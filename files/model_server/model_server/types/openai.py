# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Embeddings and models in the shape of OpenAI's API.

https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from .base import Count, RequestModel, ResponseModel, Text


def _kind(value: Any) -> str | None:
    if isinstance(value, str):
        return "string"
    # Arrays of tokens belong to one tokenizer; refusing them beats embedding another text.
    if isinstance(value, list) and not (value and isinstance(value[0], int | list)):
        return "list"
    return None


Input = Annotated[
    Annotated[Text, Tag("string")]
    | Annotated[list[Text], Field(min_length=1, fail_fast=True), Tag("list")],
    Discriminator(
        _kind,
        custom_error_type="input_type",
        custom_error_message="Input should be a string or a list of strings; "
        "arrays of tokens are not accepted",
    ),
]


class EmbeddingsRequest(RequestModel):
    """Body of `POST /v1/embeddings`."""

    model: str = Field(description="Name of the served model.")
    input: Input = Field(description="One text, or a list of texts.")
    encoding_format: Literal["float", "base64"] = Field(
        default="float",
        description="Numbers, or the little-endian float32 bytes of the vector in base64.",
    )
    dimensions: Count | None = Field(
        default=None, description="Size of the vectors; only the model's own is accepted."
    )
    user: str | None = Field(default=None, description="Accepted for compatibility, not used.")

    @property
    def texts(self) -> list[str]:
        """The input as a list."""
        return [self.input] if isinstance(self.input, str) else self.input


class Embedding(ResponseModel):
    """One vector."""

    object: Literal["embedding"] = "embedding"
    index: int = Field(description="Position of the text in the input.")
    embedding: list[float] | str = Field(description="Numbers, or base64 as asked for.")


class Usage(ResponseModel):
    """Tokens that were computed, special tokens included, after truncation."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(ResponseModel):
    """Answer of `POST /v1/embeddings`."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage


class Model(ResponseModel):
    """The served model."""

    id: str = Field(description="Name to send in `model`.")
    object: Literal["model"] = "model"
    created: int = Field(description="When this process loaded the model, in Unix seconds.")
    owned_by: str = Field(description="Where the model came from.")
    task: str
    revision: str
    max_tokens: int = Field(
        description="Tokens of a text, beyond which it is cut; of prompt and answer for `chat`."
    )
    dimensions: int | None = Field(default=None, description="Size of a vector, of `embedding`.")
    fingerprint: str | None = Field(
        default=None,
        description="Names the vector space, of `embedding`: vectors with different fingerprints "
        "must not be compared.",
    )
    labels: list[str] | None = Field(
        default=None, description="What the model tells apart, of the classifying tasks."
    )
    predict_tasks: list[str] = Field(
        default_factory=list, description="What `POST /predict` takes as `task_type`."
    )


class ModelList(ResponseModel):
    """Answer of `GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[Model]
