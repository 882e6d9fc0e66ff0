# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A chat's answer piece by piece: one reader of events without I/O, and two thin iterators."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from ..types import ChatCompletionChunk, ChatUsage, ErrorResponse, FinishReason
from . import _errors
from ._errors import APIConnectionError, ResponseInvalid
from ._exchange import Answer
from ._sse import Event, EventParser, EventTooLarge
from ._transport import AsyncBody, Body

_DONE = "[DONE]"


class ChatReader:
    """Takes the bytes of `/v1/chat/completions` and gives the text in them."""

    def __init__(self, request_id: str | None) -> None:
        self.request_id = request_id
        self.usage: ChatUsage | None = None
        self.finish_reason: FinishReason | None = None
        self.done = False
        self._parser = EventParser()

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Yield the text of the events that this chunk completes; raise what the server tells."""
        try:
            for event in self._parser.feed(chunk):
                if event.data == _DONE:
                    self.done = True
                elif not self.done:
                    yield from self._take(event)
        except EventTooLarge as error:
            raise self._invalid(str(error)) from error

    def end(self) -> None:
        """Raise APIConnectionError unless the answer is whole."""
        if not self.done:
            raise APIConnectionError(
                "The stream ended before the answer did; what came is only a part of it.",
                request_id=self.request_id,
            )

    def _take(self, event: Event) -> Iterator[str]:
        try:
            chunk = ChatCompletionChunk.model_validate_json(event.data)
        except ValidationError as error:
            raise self._failure(event) from error
        self.usage = chunk.usage or self.usage
        for choice in chunk.choices:
            self.finish_reason = choice.finish_reason or self.finish_reason
            if choice.delta.content:
                yield choice.delta.content

    def _failure(self, event: Event) -> _errors.ModelServerError:
        try:
            body = ErrorResponse.model_validate_json(event.data).error
        except ValidationError:
            return self._invalid("an event of the stream is neither text nor an error")
        return _errors.of_body(body)

    def _invalid(self, reason: str) -> ResponseInvalid:
        return ResponseInvalid(
            f"The answer is not one of this service: {reason}.", request_id=self.request_id
        )


class _Stream:
    """What both streams tell."""

    def __init__(self, answer: Answer) -> None:
        self._reader = ChatReader(answer.headers.get("x-request-id"))

    @property
    def usage(self) -> ChatUsage | None:
        """Tokens of prompt and answer, known at the end."""
        return self._reader.usage

    @property
    def finish_reason(self) -> FinishReason | None:
        """`stop`, or `length` when the answer was cut at its limit; known at the end."""
        return self._reader.finish_reason

    @property
    def request_id(self) -> str | None:
        """Finds the request in the server's log."""
        return self._reader.request_id


class ChatStream(_Stream):
    """Iterates over the text of one answer, once; leaving it early stops the generation."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self._body: Body = answer.stream

    def __iter__(self) -> Iterator[str]:
        """Yield text as it comes; raise a ModelServerError when the answer cannot be finished."""
        with self:
            for chunk in self._body:
                yield from self._reader.feed(chunk)
            self._reader.end()

    def close(self) -> None:
        """End the request, finished or not."""
        self._body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncChatStream(_Stream):
    """Iterates over the text of one answer, once; leaving it early stops the generation."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self._body: AsyncBody = answer.stream

    async def __aiter__(self) -> AsyncIterator[str]:
        """Yield text as it comes; raise a ModelServerError when the answer cannot be finished."""
        async with self:
            async for chunk in self._body:
                for text in self._reader.feed(chunk):
                    yield text
            self._reader.end()

    async def close(self) -> None:
        """End the request, finished or not."""
        await self._body.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
