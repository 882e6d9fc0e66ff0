# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Chat in the shape of OpenAI's API, at once or as a stream.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

from apiflask import APIBlueprint
from flask import Response

from ..engines.base import Message
from ..errors import InvalidRequest
from ..runtime import Runtime
from ..tasks.chat import ChatOptions
from ..types import (
    AnswerMessage,
    ChatChoice,
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatDelta,
    ChunkChoice,
)
from ._answer import Answer, begin, stream, whole
from ._docs import client
from ._served import require_model

_ROLES: dict[str, Any] = {"developer": "system"}


def build(runtime: Runtime) -> APIBlueprint:
    """Create the blueprint for one runtime."""
    blueprint = APIBlueprint("chat", __name__, tag="OpenAI")
    settings = runtime.settings

    @blueprint.post("/v1/chat/completions")
    @blueprint.doc(
        **client(
            settings,
            "Answer a conversation",
            *(400, 401, 404, 413, 415, 422, 500, 502, 503, 504),
            description="With `stream` the answer is a sequence of Server-Sent Events, each a "
            "`chat.completion.chunk`, and ends with `data: [DONE]`. A failure after the first "
            "event is the last event, with the body of an error, and no `[DONE]` follows.",
        )
    )
    @blueprint.input(ChatCompletionRequest, arg_name="body")
    @blueprint.output(ChatCompletion)
    def chat_completions(body: ChatCompletionRequest) -> Response | ChatCompletion:
        require_model(settings.service, body.model)
        if body.stream_options is not None and not body.stream:
            raise InvalidRequest("It is for streams only; set `stream`.", param="stream_options")
        answer = begin(runtime, _messages(body), _options(body))
        identity: dict[str, Any] = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": settings.service.served_name,
        }
        if not body.stream:
            message = AnswerMessage(content=whole(answer))
            choice = ChatChoice(message=message, finish_reason=answer.finish_reason)
            return ChatCompletion(**identity, choices=[choice], usage=answer.usage)
        with_usage = body.stream_options is not None and body.stream_options.include_usage
        return stream(answer, _chunks(answer, identity, with_usage), last="[DONE]")

    return blueprint


def _messages(body: ChatCompletionRequest) -> list[Message]:
    return [Message(_ROLES.get(each.role, each.role), each.text) for each in body.messages]


def _options(body: ChatCompletionRequest) -> ChatOptions:
    stop = body.stop or ()
    return ChatOptions(
        max_tokens=body.max_completion_tokens or body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        seed=body.seed,
    )


def _chunks(
    answer: Answer, identity: dict[str, Any], with_usage: bool
) -> Iterator[ChatCompletionChunk]:
    def chunk(delta: ChatDelta, **end: Any) -> ChatCompletionChunk:
        return ChatCompletionChunk(**identity, choices=[ChunkChoice(delta=delta, **end)])

    yield chunk(ChatDelta(role="assistant", content=""))
    for text in answer:
        yield chunk(ChatDelta(content=text))
    yield chunk(ChatDelta(), finish_reason=answer.finish_reason)
    if with_usage:
        yield ChatCompletionChunk(**identity, choices=[], usage=answer.usage)
