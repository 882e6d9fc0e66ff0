# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Bad input on every surface: a 4xx that names the field, and the next request works."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes import FakeEngine, FakeGenerator
from support import Service, chat_sections

BIG = {"limits": {"body_bytes": 4 * 2**20, "inputs_per_request": 256}}
IMAGE = "data:image/png;base64," + base64.b64encode(bytes(300)).decode()
EMBED, PREDICT = "/v1/embeddings", "/predict"
COMPLETE, CHAT, STREAM = "/v1/chat/completions", "/chat", "/chat/stream"


def embed(**fields: Any) -> dict[str, Any]:
    return {"model": "all-MiniLM-L6-v2", "input": "a", **fields}


def predict(**fields: Any) -> dict[str, Any]:
    return {"task_type": "embedding", "input_text": "a", **fields}


def complete(**fields: Any) -> dict[str, Any]:
    return {"model": "smol", "messages": [{"role": "user", "content": "a"}], **fields}


def image_part() -> list[dict[str, Any]]:
    part = {"type": "image_url", "image_url": {"url": IMAGE}}
    return [{"role": "user", "content": [part]}]


# Path, body, status and the field that the answer names.
BODIES: list[tuple[str, Any, int, str | None]] = [
    (EMBED, embed(input=7), 422, "input"),
    (EMBED, embed(input={"a": 1}), 422, "input"),
    (EMBED, embed(input=["a", None]), 422, "input"),
    (EMBED, embed(input=[]), 422, "input"),
    (EMBED, embed(input=""), 422, "input"),
    (EMBED, embed(input=["a", ""]), 422, "input"),
    (EMBED, embed(input="\ud800"), 422, "input"),
    (EMBED, embed(input="a\x00b"), 422, "input"),
    (EMBED, embed(input="x" * 2**20), 422, "input"),
    (EMBED, embed(input=["a"] * 10_000), 413, "input"),
    (EMBED, embed(input=[{"type": "image_url", "image_url": {"url": IMAGE}}]), 422, "input"),
    (EMBED, embed(unknown=1), 422, "unknown"),
    (EMBED, embed(dimensions=-1), 422, "dimensions"),
    (EMBED, embed(encoding_format="hex"), 422, "encoding_format"),
    (EMBED, embed(model=["all-MiniLM-L6-v2"]), 422, "model"),
    (PREDICT, predict(input_text=""), 422, "input_text"),
    (PREDICT, predict(input_text=["a"]), 422, "input_text"),
    (PREDICT, predict(input_text="\udfff"), 422, "input_text"),
    (PREDICT, predict(input_text="\x00"), 422, "input_text"),
    (PREDICT, predict(input_text="x" * 2**20), 422, "input_text"),
    (PREDICT, predict(task_type="x" * 65), 422, "task_type"),
    (PREDICT, predict(other_text="b"), 422, "other_text"),
    (PREDICT, predict(task_type="similarity"), 422, "other_text"),
    (COMPLETE, complete(messages=[]), 422, "messages"),
    (COMPLETE, complete(messages="a"), 422, "messages"),
    (COMPLETE, complete(messages=image_part()), 422, "messages"),
    (COMPLETE, complete(messages=[{"role": "tool", "content": "a"}]), 422, "messages"),
    (COMPLETE, complete(messages=[{"role": "user", "content": ""}]), 422, "messages"),
    (COMPLETE, complete(messages=[{"role": "user", "content": "\x00"}]), 422, "messages"),
    (COMPLETE, complete(messages=[{"role": "user", "content": "\ud83d"}]), 422, "messages"),
    (COMPLETE, complete(messages=[{"role": "user", "content": "a"}] * 10_000), 422, "messages"),
    (COMPLETE, complete(max_tokens=-1), 422, "max_tokens"),
    (COMPLETE, complete(max_tokens=10**9), 422, "max_tokens"),
    (COMPLETE, complete(max_tokens="many"), 422, "max_tokens"),
    (COMPLETE, complete(n=2), 422, "n"),
    (COMPLETE, complete(n=-1), 422, "n"),
    (COMPLETE, complete(temperature=-0.1), 422, "temperature"),
    (COMPLETE, complete(temperature=1e9), 422, "temperature"),
    (COMPLETE, complete(top_p=0), 422, "top_p"),
    (COMPLETE, complete(stop=["a"] * 5), 422, "stop"),
    (COMPLETE, complete(seed=-1), 422, "seed"),
    (COMPLETE, complete(tools=[]), 422, "tools"),
    (COMPLETE, complete(stream="yes"), 422, "stream"),
    *((path, {"message": "x" * 2**20}, 422, "message") for path in (CHAT, STREAM)),
    *((path, {"message": 1}, 422, "message") for path in (CHAT, STREAM)),
    (CHAT, {"message": "a", "max_tokens": 0}, 422, "max_tokens"),
    (CHAT, {"message": "a", "history": [{"role": "system", "content": "a"}]}, 422, "history"),
    (CHAT, {"message": "a", "conversation_id": "../x"}, 422, "conversation_id"),
]
# What is no JSON that these paths accept, with its content type.
BYTES: list[tuple[bytes, str, int]] = [
    (b"{", "application/json", 400),
    (b"\xff\xfe", "application/json", 400),
    (b'{"input": NaN}', "application/json", 400),
    (b"[" * 100_000, "application/json", 400),
    (b'{"a":' * 50_000, "application/json", 400),
    (b"[]", "application/json", 422),
    (b'"a"', "application/json", 422),
    (b"{}", "text/plain", 415),
    (b"input=a", "application/x-www-form-urlencoded", 415),
    (b"x" * (5 * 2**20), "application/json", 413),
]


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Service]]:
    folder: Path = tmp_path_factory.mktemp("snapshot")
    embedder = Service(FakeEngine(), folder, **BIG).load()
    chat = Service(FakeGenerator(), folder, **chat_sections(**BIG)).load()
    yield {EMBED: embedder, PREDICT: embedder, COMPLETE: chat, CHAT: chat, STREAM: chat}
    for service in (embedder, chat):
        service.runtime.stop(timeout=5)


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    BODIES,
    ids=[f"{path} {json.dumps(body)[:70]}" for path, body, _status, _field in BODIES],
)
def test_a_bad_body_is_refused_by_field(
    services: dict[str, Service], path: str, body: Any, status: int, field: str | None
) -> None:
    response = services[path].post_bytes(path, json.dumps(body).encode())
    failure = response.get_json()["error"]
    assert (response.status_code, failure["param"]) == (status, field), failure
    assert failure["type"] == "invalid_request_error"
    assert len(failure["message"]) < 2000, "the input is not sent back"


@pytest.mark.parametrize("path", [EMBED, PREDICT, COMPLETE, CHAT, STREAM])
@pytest.mark.parametrize(("content", "kind", "status"), BYTES)
def test_what_cannot_be_read_is_refused(
    services: dict[str, Service], path: str, content: bytes, kind: str, status: int
) -> None:
    response = services[path].post_bytes(path, content, kind)
    assert response.status_code == status, response.get_json()
    assert services[path].client.get("/ready").status_code == 200
