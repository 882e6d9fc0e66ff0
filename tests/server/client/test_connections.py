# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Connections: given back or closed, whatever happens; and copies that share them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest

from driver import WHOLE, Chunks, Driver, Script, chunk, events, failure, vectors
from model_server.client import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncClient,
    Client,
    ModelServerError,
)

URL = "https://service.test"


def over(script: Script, **options: Any) -> Client:
    return Client(URL, model="m", transport=httpx2.MockTransport(script), **options)


@pytest.mark.parametrize("status", [200, 422, 503])
@pytest.mark.parametrize("name", ["embed", "chat", "chat_stream"])
def test_an_answer_that_is_read_is_closed(driver: Driver, name: str, status: int) -> None:
    body = Chunks(b"{}")
    script = Script(httpx2.Response(status, stream=body))
    with pytest.raises(ModelServerError):
        driver.call(script, name, "a", options={"max_retries": 0})
    assert body.closed


def test_a_whole_stream_is_closed(driver: Driver) -> None:
    body = Chunks(*WHOLE)
    driver.call(Script(events(body)), "chat_stream", "Hi")
    assert body.closed


def test_a_stream_that_is_left_is_closed() -> None:
    body = Chunks(*WHOLE)
    with over(Script(events(body))) as client:
        for text in client.chat_stream("Hi"):
            assert text == "Hel"
            break
        assert body.closed


def test_a_stream_that_is_never_read_is_closed_by_its_context() -> None:
    body = Chunks(*WHOLE)
    with over(Script(events(body))) as client:
        with client.chat_stream("Hi") as stream:
            assert stream.usage is None
            assert not body.closed
        assert body.closed


class Endless(httpx2.AsyncByteStream):
    """A body that waits for ever after its first event."""

    def __init__(self) -> None:
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield chunk("Hel")
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.closed = True


def test_cancelling_an_async_stream_closes_it() -> None:
    body = Endless()
    response = httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=body)
    texts: list[str] = []

    async def read(client: AsyncClient, begun: asyncio.Event) -> None:
        async for text in await client.chat_stream("Hi"):
            texts.append(text)
            begun.set()

    async def main() -> None:
        transport = httpx2.MockTransport(lambda request: response)
        async with AsyncClient(URL, model="m", transport=transport) as client:
            begun = asyncio.Event()
            task = asyncio.create_task(read(client, begun))
            await begun.wait()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert task.cancelled()
            assert body.closed

    asyncio.run(main())
    assert texts == ["Hel"]


def test_leaving_an_async_stream_closes_it() -> None:
    body = Chunks(*WHOLE)

    async def main() -> None:
        transport = httpx2.MockTransport(Script(events(body)))
        async with AsyncClient(URL, model="m", transport=transport) as client:
            async with await client.chat_stream("Hi") as stream:
                async for text in stream:
                    assert text == "Hel"
                    break
            assert body.closed

    asyncio.run(main())


def test_a_copy_shares_connections_and_token_but_not_patience() -> None:
    token = {"access_token": "t", "token_type": "Bearer", "expires_in": 9}
    script = Script(httpx2.Response(200, json=token), failure(502, "upstream_failed"))
    with over(script) as client:
        hasty = client.with_options(max_retries=0, timeout=1)
        client.login("ada", "secret")
        with pytest.raises(APIStatusError):
            hasty.embed("a")
        assert len(script.requests) == 2
        assert script.requests[1].headers["authorization"] == "Bearer t"
        assert script.requests[1].extensions["timeout"]["read"] == 1
        patient = client.with_options(timeout=None, deadline=None)
        client._sleep = patient._sleep = script.slept.append  # type: ignore[assignment]
        with pytest.raises(APIStatusError):
            patient.embed("a")
        assert len(script.requests) == 5
        assert script.requests[2].extensions["timeout"]["read"] is None


def test_a_closed_client_says_so() -> None:
    client = over(Script(vectors([1.0])))
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.embed("a")


@pytest.fixture
def silent() -> Iterator[tuple[str, threading.Event]]:
    """A server that takes requests and never answers; the event tells when a client has gone."""
    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _address = listener.accept()
            with connection:
                while connection.recv(65536):
                    pass
                gone.set()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", gone
        thread.join(timeout=5)


def test_a_timeout_ends_the_wait_and_closes_the_connection(
    silent: tuple[str, threading.Event],
) -> None:
    url, gone = silent
    with Client(url, model="m", timeout=0.2) as client:
        with pytest.raises(APITimeoutError) as caught:
            client.embed("a")
        assert not caught.value.retryable
        assert gone.wait(timeout=5)


def test_cancelling_an_async_call_closes_the_connection(
    silent: tuple[str, threading.Event],
) -> None:
    url, gone = silent

    async def main() -> None:
        async with AsyncClient(url, model="m") as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.embed("a"), 0.2)
            assert await asyncio.to_thread(gone.wait, 5)

    asyncio.run(main())


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}", model="m", max_retries=1) as client:
        slept: list[float] = []
        client._sleep = slept.append  # type: ignore[assignment]
        with pytest.raises(APIConnectionError, match="no connection was made"):
            client.chat("Hi")
        assert len(slept) == 1
