# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The short chat surface: `/chat`, `/chat/stream`, `/ws`, and the conversations that are kept."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from .base import Count, RequestModel, ResponseModel, Text, absent
from .chat import ChatUsage, FinishReason

ConversationId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class Turn(RequestModel):
    """An earlier message, which the client sends again."""

    role: Literal["user", "assistant"]
    content: Text


class ChatRequest(RequestModel):
    """Body of `POST /chat` and `POST /chat/stream`, and a message of `/ws`."""

    # A kept conversation has its history already.
    model_config = ConfigDict(
        json_schema_extra={
            "not": {
                "required": ["conversation_id", "history"],
                "properties": {"conversation_id": {"type": "string"}, "history": {"minItems": 1}},
            }
        }
    )

    message: Text = Field(description="What the user says.")
    history: Annotated[list[Turn], Field(max_length=256)] = Field(
        default_factory=list, description="What was said before, oldest first."
    )
    conversation_id: ConversationId | None = Field(
        default=None,
        description="Continue a kept conversation; only where the service keeps them.",
    )
    max_tokens: Count | None = Field(default=None, description="Tokens of the answer, at most.")
    temperature: float | None = Field(default=None, ge=0, le=2)


class ChatReply(ResponseModel):
    """Answer of `POST /chat`; the last event of a stream holds the same without `response`."""

    response: str = Field(description="The answer.")
    finish_reason: FinishReason
    usage: ChatUsage
    conversation_id: str | None = Field(
        default=None,
        exclude_if=absent,
        description="Present where the service keeps conversations.",
    )


class ChatEvent(ResponseModel):
    """One event of `/chat/stream` or one message of `/ws`: an addition, or the end."""

    type: Literal["delta", "end"]
    text: str | None = Field(
        default=None, exclude_if=absent, description="The addition, of type `delta`."
    )
    finish_reason: FinishReason | None = Field(
        default=None, exclude_if=absent, description="Of type `end`."
    )
    usage: ChatUsage | None = Field(default=None, exclude_if=absent, description="Of type `end`.")
    conversation_id: str | None = Field(
        default=None,
        exclude_if=absent,
        description="Of type `end`, where the service keeps conversations.",
    )


class SocketToken(RequestModel):
    """First message of `/ws`, unless the handshake brought a key or token."""

    type: Literal["auth"]
    token: Annotated[str, Field(min_length=1, max_length=8192)]


class ConversationSummary(ResponseModel):
    """One kept conversation."""

    id: str
    created: int = Field(description="Unix seconds.")
    updated: int = Field(description="Unix seconds.")
    messages: int


class ConversationList(ResponseModel):
    """Answer of `GET /conversations`: those of the caller."""

    conversations: list[ConversationSummary]


class ConversationsDeleted(ResponseModel):
    """Answer of `DELETE /conversations` and `DELETE /conversations/<id>`."""

    deleted: int
