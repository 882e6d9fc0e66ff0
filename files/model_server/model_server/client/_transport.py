# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The only file that knows the HTTP library: httpx2. It keeps the connections."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2

from ._errors import APIConnectionError, APITimeoutError
from ._exchange import Answer, Lost, Send, Stage

Transport = httpx2.BaseTransport
AsyncTransport = httpx2.AsyncBaseTransport
_EVENTS = "text/event-stream"
_UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout)
_BROKEN = (httpx2.NetworkError, httpx2.RemoteProtocolError)


@dataclass(frozen=True)
class Endpoint:
    """Where a service listens. `ca` is the only authority trusted; None trusts the system's."""

    url: str
    socket: Path | None = None
    ca: Path | None = None

    def verify(self) -> ssl.SSLContext | bool:
        """What the server's certificate is held against."""
        return True if self.ca is None else ssl.create_default_context(cafile=self.ca)


class Body:
    """The open body of a stream."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        """Yield bytes as they come; raise APIConnectionError."""
        try:
            yield from self._response.iter_bytes()
        except httpx2.RequestError as error:
            raise _cut(self._response, error) from error

    def close(self) -> None:
        """Give the connection back, or close it when the body is not at its end."""
        self._response.close()


class AsyncBody:
    """The open body of a stream."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield bytes as they come; raise APIConnectionError."""
        try:
            async for chunk in self._response.aiter_bytes():
                yield chunk
        except httpx2.RequestError as error:
            raise _cut(self._response, error) from error

    async def close(self) -> None:
        """Give the connection back, or close it when the body is not at its end."""
        await self._response.aclose()


class Connection:
    """Pooled connections to one endpoint. Safe for threads."""

    def __init__(self, endpoint: Endpoint, transport: Transport | None) -> None:
        verify = endpoint.verify()
        if transport is None and endpoint.socket is not None:
            transport = httpx2.HTTPTransport(verify=verify, uds=str(endpoint.socket))
        self._client = httpx2.Client(base_url=endpoint.url, verify=verify, transport=transport)

    def send(self, step: Send) -> Answer | Lost:
        """Send one request."""
        try:
            response = self._client.send(_request(self._client, step), stream=True)
        except httpx2.RequestError as error:
            return _lost(error)
        if _is_stream(step, response):
            return _answer(response, b"", Body(response))
        try:
            return _answer(response, response.read())
        except httpx2.RequestError as error:
            return Lost(Stage.FINAL, isinstance(error, httpx2.TimeoutException), error)
        finally:
            response.close()

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


class AsyncConnection:
    """Pooled connections to one endpoint."""

    def __init__(self, endpoint: Endpoint, transport: AsyncTransport | None) -> None:
        verify = endpoint.verify()
        if transport is None and endpoint.socket is not None:
            transport = httpx2.AsyncHTTPTransport(verify=verify, uds=str(endpoint.socket))
        self._client = httpx2.AsyncClient(base_url=endpoint.url, verify=verify, transport=transport)

    async def send(self, step: Send) -> Answer | Lost:
        """Send one request."""
        try:
            response = await self._client.send(_request(self._client, step), stream=True)
        except httpx2.RequestError as error:
            return _lost(error)
        if _is_stream(step, response):
            return _answer(response, b"", AsyncBody(response))
        try:
            return _answer(response, await response.aread())
        except httpx2.RequestError as error:
            return Lost(Stage.FINAL, isinstance(error, httpx2.TimeoutException), error)
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()


async def sleep(seconds: float) -> None:
    """Wait without holding the event loop, asyncio's or trio's."""
    await anyio.sleep(seconds)


def _request(client: httpx2.Client | httpx2.AsyncClient, step: Send) -> httpx2.Request:
    timeout = httpx2.Timeout(step.timeout, connect=step.connect_timeout)
    return client.build_request(
        step.method, step.path, content=step.body, headers=step.headers, timeout=timeout
    )


def _is_stream(step: Send, response: httpx2.Response) -> bool:
    kind = response.headers.get("content-type", "")
    return step.stream and response.is_success and kind.startswith(_EVENTS)


def _answer(response: httpx2.Response, body: bytes, stream: Any = None) -> Answer:
    return Answer(response.status_code, dict(response.headers), body, stream)


def _lost(error: httpx2.RequestError) -> Lost:
    if isinstance(error, _UNSENT):
        stage = Stage.FINAL if _refused_certificate(error) else Stage.UNSENT
    else:
        stage = Stage.UNANSWERED if isinstance(error, _BROKEN) else Stage.FINAL
    return Lost(stage, isinstance(error, httpx2.TimeoutException), error)


def _refused_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _cut(response: httpx2.Response, error: httpx2.RequestError) -> APIConnectionError:
    kind = APITimeoutError if isinstance(error, httpx2.TimeoutException) else APIConnectionError
    return kind(
        f"The stream broke: {str(error) or type(error).__name__}. What came is only a part.",
        request_id=response.headers.get("x-request-id"),
    )
