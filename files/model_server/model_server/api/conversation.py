# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The short chat surface: `/chat` and `/chat/stream`."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response, g

from ..runtime import Runtime
from ..security.conversations import ConversationStore
from ..types import ChatReply, ChatRequest, ServerSentEvent
from ._answer import begin, stream, whole
from ._conversation import Exchange
from ._docs import client

_STATUSES = (400, 401, 404, 413, 415, 422, 500, 502, 503, 504)


def build(runtime: Runtime, store: ConversationStore | None) -> APIBlueprint:
    """Create the blueprint for one runtime; without a store each request brings its history."""
    blueprint = APIBlueprint("conversation", __name__, tag="Chat")
    settings = runtime.settings

    @blueprint.post("/chat")
    @blueprint.doc(**client(settings, "Answer a message", *_STATUSES))
    @blueprint.input(ChatRequest, arg_name="body")
    @blueprint.output(ChatReply)
    def chat(body: ChatRequest) -> ChatReply:
        exchange = Exchange(body, g.record.client, store)
        answer = begin(runtime, exchange.messages, exchange.options)
        return ChatReply(
            response=whole(answer),
            finish_reason=answer.finish_reason,
            usage=answer.usage,
            conversation_id=exchange.keep(answer),
        )

    @blueprint.post("/chat/stream")
    @blueprint.doc(
        **client(
            settings,
            "Answer a message as a stream",
            *_STATUSES,
            description="Server-Sent Events. `data` of each is a `ChatEvent`: any number of type "
            "`delta` with `text`, then one of type `end` with `finish_reason` and `usage`. A "
            "failure after the first event is the last event, with the body of an error.",
        )
    )
    @blueprint.input(ChatRequest, arg_name="body")
    @blueprint.output(ServerSentEvent, content_type="text/event-stream")
    def chat_stream(body: ChatRequest) -> Response:
        exchange = Exchange(body, g.record.client, store)
        answer = begin(runtime, exchange.messages, exchange.options)
        return stream(answer, exchange.events(answer))

    return blueprint
