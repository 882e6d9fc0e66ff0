# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""One answer of a chat, as every surface gives it.

It is begun before the status is sent, so that a refusal has its own, and closed in any case.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import structlog
from flask import Response, request

from ..engines.base import GenerationChunk, Message
from ..errors import ClientGone, InternalError, ServiceError
from ..records import RequestRecord
from ..runtime import Runtime
from ..tasks.chat import ChatOptions
from ..types import ChatUsage, FinishReason
from ..types.base import ResponseModel
from ._client import watch
from ._envelope import envelope, remember

_log = structlog.get_logger(__name__)

_STREAM_HEADERS = {
    "Cache-Control": "no-store",
    # A proxy must pass on each event as it comes.
    "X-Accel-Buffering": "no",
}


class Answer:
    """Iterate it for the texts; then it knows why it ended and what it cost. Close it in any case.

    The record is kept here, since a stream outlives the request's context.
    """

    def __init__(
        self,
        runtime: Runtime,
        messages: Sequence[Message],
        options: ChatOptions,
        record: RequestRecord,
        gone: Callable[[], bool],
    ) -> None:
        """Begin, and wait for the first chunk; raise the ServiceError of what fails until then."""
        self.record = record
        self.text = ""
        self._generation = runtime.generate(messages, options)
        self._last = GenerationChunk("")
        self._closed = False
        chunks = self._generation.chunks(gone)
        try:
            first = next(chunks, None)
            if first is None:
                raise ClientGone("The client left before its answer.")
        except BaseException:
            self.close()
            raise
        self._last = first
        self._chunks = itertools.chain([first], chunks)

    def __iter__(self) -> Iterator[str]:
        """Yield the texts as they come; raise ClientGone, or the ServiceError of a failure."""
        for chunk in self._chunks:
            self._last = chunk
            if chunk.text:
                self.text += chunk.text
                yield chunk.text
        if self._last.finish_reason is None:
            raise ClientGone("The client left before the end of its answer.")

    @property
    def finish_reason(self) -> FinishReason:
        """Why it ended."""
        return self._last.finish_reason or "stop"

    @property
    def usage(self) -> ChatUsage:
        """Tokens so far."""
        prompt, completion = self._last.prompt_tokens, self._last.completion_tokens
        return ChatUsage(
            prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion
        )

    def close(self) -> None:
        """End the computation and write down what it cost."""
        if self._closed:
            return
        self._closed = True
        self._generation.close()
        if self._last.finish_reason is None and self.record.code == "ok":
            self.record.code = ClientGone.code
        usage, timing, first = self.usage, self._generation.timing, self._generation.first
        self.record.tokens = usage.total_tokens
        self.record.facts |= {
            "tokens": usage.total_tokens,
            "completion_tokens": usage.completion_tokens,
            "queue_ms": round(timing.queue * 1000, 3),
            "inference_ms": round(timing.inference * 1000, 3),
        }
        if first is not None:
            waited = first - self._generation.submitted
            self.record.facts["first_token_ms"] = round(waited * 1000, 3)


def begin(runtime: Runtime, messages: Sequence[Message], options: ChatOptions) -> Answer:
    """Begin an answer for the request at hand."""
    record = remember(message.content for message in messages)
    return Answer(runtime, messages, options, record, watch(request.environ))


def whole(answer: Answer) -> str:
    """Wait for the whole text."""
    try:
        return "".join(answer)
    finally:
        answer.close()


def stream(answer: Answer, events: Iterator[ResponseModel], last: str | None = None) -> Response:
    """Send events as Server-Sent Events, then `last`; a failure on the way is the last event."""

    def failed(error: ServiceError) -> str:
        answer.record.code = error.code
        return _event(envelope(error, answer.record.request_id).model_dump_json())

    def lines() -> Iterator[str]:
        try:
            for event in events:
                yield _event(event.model_dump_json())
            if last is not None:
                yield _event(last)
        except ServiceError as error:
            yield failed(error)
        except Exception as error:
            _log.error("unforeseen", request_id=answer.record.request_id, exc_info=error)
            yield failed(InternalError("The server failed; its log holds the request id."))

    response = Response(lines(), content_type="text/event-stream", headers=_STREAM_HEADERS)
    response.call_on_close(answer.close)
    return response


def _event(data: str) -> str:
    return f"data: {data}\n\n"
