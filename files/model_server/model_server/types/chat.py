# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Chat in the shape of OpenAI's API.

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from .base import Count, One, RequestModel, ResponseModel, Seed, Text, absent

FinishReason = Literal["stop", "length"]


class TextPart(RequestModel):
    """One part of a message; this service reads text only."""

    type: Literal["text"] = "text"
    text: Text


class ChatMessage(RequestModel):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant"] = Field(
        description="Who speaks; `developer` counts as `system`."
    )
    content: Text | Annotated[list[TextPart], Field(min_length=1, max_length=64)] = Field(
        description="The text, or parts of type `text`."
    )
    name: str | None = Field(
        default=None, max_length=64, description="Accepted for compatibility, not used."
    )

    @property
    def text(self) -> str:
        """The content as one text."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class StreamOptions(RequestModel):
    """What a stream tells beside its text."""

    include_usage: bool = Field(default=False, description="End with a chunk that has `usage`.")


class ChatCompletionRequest(RequestModel):
    """Body of `POST /v1/chat/completions`."""

    # Without a stream its options would have no effect.
    model_config = ConfigDict(
        json_schema_extra={
            "not": {
                "required": ["stream_options"],
                "properties": {"stream_options": {"type": "object"}, "stream": {"const": False}},
            }
        }
    )

    model: str = Field(description="Name of the served model.")
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=256)] = Field(
        description="The conversation; the last message is answered."
    )
    stream: bool = Field(default=False, description="Answer as Server-Sent Events.")
    stream_options: StreamOptions | None = Field(default=None, description="Only with `stream`.")
    max_tokens: Count | None = Field(default=None, description="Tokens of the answer, at most.")
    max_completion_tokens: Count | None = Field(
        default=None, description="The newer name of `max_tokens`."
    )
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="0 takes the likeliest token each time."
    )
    top_p: float | None = Field(default=None, gt=0, le=1, description="Nucleus sampling.")
    stop: (
        Annotated[str, Field(min_length=1, max_length=256)]
        | Annotated[
            list[Annotated[str, Field(min_length=1, max_length=256)]],
            Field(min_length=1, max_length=4),
        ]
        | None
    ) = Field(default=None, description="Texts that end the answer; they are not part of it.")
    seed: Seed | None = Field(default=None, description="The same seed gives the same answer.")
    n: One | None = Field(default=None, description="Only one answer is given.")
    user: str | None = Field(default=None, description="Accepted for compatibility, not used.")


class ChatUsage(ResponseModel):
    """Tokens of a prompt and its answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerMessage(ResponseModel):
    """The answer."""

    role: Literal["assistant"] = "assistant"
    content: str


class ChatChoice(ResponseModel):
    """One answer, and why it ended."""

    index: int = 0
    message: AnswerMessage
    finish_reason: FinishReason


class ChatCompletion(ResponseModel):
    """Answer of `POST /v1/chat/completions` without `stream`."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="Unix seconds.")
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage


class ChatDelta(ResponseModel):
    """What a chunk adds to the answer."""

    role: Literal["assistant"] | None = Field(default=None, exclude_if=absent)
    content: str | None = Field(default=None, exclude_if=absent)


class ChunkChoice(ResponseModel):
    """One addition; the last one tells why the answer ended."""

    index: int = 0
    delta: ChatDelta
    finish_reason: FinishReason | None = None


class ChatCompletionChunk(ResponseModel):
    """One event of a stream; after the last one comes `data: [DONE]`."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: ChatUsage | None = Field(
        default=None, exclude_if=absent, description="In the last chunk, when asked for."
    )
