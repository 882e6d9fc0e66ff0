# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Drives either client by the same calls, over a handler that stands in for the service."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import httpx2

from model_server.client import AsyncClient, Client

URL = "https://service.test"
KEY = "sk-very-secret-key"
MODEL = "all-MiniLM-L6-v2"
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
COST = {"tokens": 5, "truncated": False}
CHAT = {
    "id": "c",
    "created": 1,
    "model": MODEL,
    "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}],
    "usage": USAGE,
}
CARD = {
    "id": MODEL,
    "created": 1,
    "owned_by": "package",
    "task": "embedding",
    "revision": "1",
    "max_tokens": 256,
    "fingerprint": "sha256:1",
}
ENTITY = {"text": "Ada", "type": "PER", "start": 0, "end": 3, "score": 0.9}
RERANK = {
    "id": "r",
    "model": MODEL,
    "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}],
    "usage": {"total_tokens": 9},
}
Handler = Callable[[httpx2.Request], httpx2.Response]


class Script:
    """Answers requests one after the other; an exception is raised, the last entry repeats.

    `slept` are the waits that the client asked for; none is waited.
    """

    def __init__(self, *answers: httpx2.Response | Exception | Handler) -> None:
        self.answers = answers
        self.requests: list[httpx2.Request] = []
        self.slept: list[float] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        answer = self.answers[min(len(self.requests), len(self.answers) - 1)]
        self.requests.append(request)
        if isinstance(answer, Exception):
            raise answer
        if not isinstance(answer, httpx2.Response):
            return answer(request)
        if isinstance(answer.stream, Chunks):
            return answer
        # A response is read once, by one kind of client; a script may give it several times.
        return httpx2.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests if request.content]


class Driver:
    """One kind of client. Every call opens one, calls, and closes it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def call(
        self, script: Script, name: str, *args: Any, options: Any = None, **kwargs: Any
    ) -> Any:
        """Call one operation and return what it returns; a stream is read to (text, stream)."""
        return self.calls(script, (name, args, kwargs), options=options)[-1]

    def calls(self, script: Script, *calls: Any, options: Any = None) -> list[Any]:
        """Call several operations of one client: (name, arguments, keywords) each."""
        options = {"api_key": KEY, "model": MODEL, "transport": httpx2.MockTransport(script)} | (
            options or {}
        )
        if self.kind == "sync":
            return self._sync(script, calls, options)
        return asyncio.run(self._async(script, calls, options))

    def _sync(self, script: Script, calls: Any, options: Any) -> list[Any]:
        with Client(URL, **options) as client:
            client._sleep = script.slept.append  # type: ignore[assignment]
            results = []
            for name, args, kwargs in calls:
                result = getattr(client, name)(*args, **kwargs)
                if name == "chat_stream":
                    result = (list(result), result)
                results.append(result)
            return results

    async def _async(self, script: Script, calls: Any, options: Any) -> list[Any]:
        async def sleep(seconds: float) -> None:
            script.slept.append(seconds)

        async with AsyncClient(URL, **options) as client:
            client._sleep = sleep  # type: ignore[assignment]
            results = []
            for name, args, kwargs in calls:
                result = await getattr(client, name)(*args, **kwargs)
                if name == "chat_stream":
                    result = ([text async for text in result], result)
                results.append(result)
            return results


class Chunks(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body in pieces, for both clients; an exception in it is raised. Knows when it is closed."""

    def __init__(self, *chunks: bytes | Exception) -> None:
        self.chunks = chunks
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


def ok(body: Any, **headers: str) -> httpx2.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(200, json=body, headers={"x-request-id": "r1", **names})


def failure(status: int, code: str, **headers: str) -> httpx2.Response:
    """An answer in the service's envelope."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {
        "message": f"It was {code}.",
        "type": "some_error",
        "code": code,
        "param": "input",
        "request_id": "r1",
        "details": {"limit": 1},
    }
    return httpx2.Response(status, json={"error": body}, headers={"x-request-id": "r1", **names})


def vectors(*rows: Sequence[float], base64_form: bool = True, **headers: str) -> httpx2.Response:
    def encode(row: Sequence[float]) -> Any:
        if not base64_form:
            return list(row)
        return base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode()

    data = [
        {"object": "embedding", "index": index, "embedding": encode(row)}
        for index, row in enumerate(rows)
    ]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    return ok({"object": "list", "data": data, "model": MODEL, "usage": usage}, **headers)


def chunk(
    text: str | None = None, finish: str | None = None, usage: Any = None, choices: bool = True
) -> bytes:
    """One event of a stream."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    body = {"id": "c", "created": 1, "model": MODEL, "choices": [choice] if choices else []}
    return b"data: " + json.dumps(body | {"usage": usage}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
WHOLE = (chunk("Hel"), chunk("lo"), chunk(None, "stop"), chunk(usage=USAGE, choices=False), DONE)


def events(*chunks: bytes | Exception | Chunks) -> httpx2.Response:
    """A stream of events: pieces, or a body that the test keeps."""
    body = chunks[0] if isinstance(chunks[0], Chunks) else Chunks(*chunks)
    headers = {"content-type": "text/event-stream; charset=utf-8", "x-request-id": "r1"}
    return httpx2.Response(200, headers=headers, stream=body)
