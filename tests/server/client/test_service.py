# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Against the real application on the fake engine, and against real gunicorn on its socket."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import httpx2
import pytest

from fakes import FakeEngine
from gunicorn_process import Gunicorn
from model_server.client import (
    AsyncClient,
    Client,
    InferenceFailed,
    ModelNotFound,
    NotReady,
    TaskNotOffered,
    TooLarge,
    Unauthenticated,
)
from support import KEY, Service, settings_content

URL = "http://127.0.0.1"
TEXTS = ["one two", "three", "one two"]


def client_of(service: Service, **options: object) -> Client:
    transport = httpx2.WSGITransport(app=service.app)
    return Client(URL, **{"api_key": KEY, "transport": transport, **options})  # type: ignore[arg-type]


def test_embed(service: Service) -> None:
    with client_of(service) as client:
        result = client.embed(TEXTS)
        assert result.vectors == client.embed(TEXTS, transfer="float").vectors
        assert result.vectors[0] == result.vectors[2] != result.vectors[1]
        assert result.dimensions == client.models().data[0].dimensions
        assert (result.model, result.truncated) == ("all-MiniLM-L6-v2", 0)
        assert client.embed("word " * 40).truncated == 1
        prediction = client.predict("embedding", TEXTS[0])
        assert getattr(prediction, "embedding", None) == result.vectors[0]


def test_probes(service: Service) -> None:
    with client_of(service, api_key=None) as client:
        assert client.health().status == "ok"
        assert client.ready().release == "a1b2c3"


def test_failures(service: Service, engine: FakeEngine) -> None:
    with client_of(service, max_retries=0) as client:
        with pytest.raises(InferenceFailed) as caught:
            client.embed("poison")
        assert caught.value.request_id
        with pytest.raises(TooLarge):
            client.embed(["a"] * 9)
        with pytest.raises(TaskNotOffered) as refused:
            client.entities("a")
        assert refused.value.details is not None
    with client_of(service, api_key="wrong") as client, pytest.raises(Unauthenticated):
        client.models()
    with client_of(service, model="other") as client, pytest.raises(ModelNotFound):
        client.embed("a")


def test_not_ready(unloaded: Service) -> None:
    with client_of(unloaded) as client, pytest.raises(NotReady) as caught:
        client.ready()
    assert (caught.value.retryable, caught.value.retry_after) == (True, 5)


@pytest.mark.live
def test_over_a_unix_socket(tmp_path: Path, snapshot: Path) -> None:
    with contextlib.closing(
        Gunicorn(tmp_path, "fake_wsgi:app", settings_content(snapshot))
    ) as gunicorn:
        gunicorn.wait_ready()
        with Client(socket=gunicorn.socket, api_key=KEY) as client:
            result = client.embed(TEXTS)
            assert result.vectors == client.embed(TEXTS, transfer="float").vectors
        for vector, expected in zip(
            asyncio.run(embed_at_once(gunicorn.socket)), result.vectors, strict=True
        ):
            # Each batch has another shape, and float32 sums differ in the last digits.
            assert vector == pytest.approx(expected, abs=1e-6)


async def embed_at_once(socket: Path) -> list[list[float]]:
    async with AsyncClient(socket=socket, api_key=KEY) as client:
        answers = await asyncio.gather(*(client.embed(text) for text in TEXTS))
    return [answer.vectors[0] for answer in answers]
