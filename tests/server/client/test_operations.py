# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""One table of operations, through both clients: what is sent, and what comes back."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from driver import (
    CARD,
    CHAT,
    COST,
    ENTITY,
    KEY,
    MODEL,
    RERANK,
    USAGE,
    WHOLE,
    Driver,
    Script,
    events,
    failure,
    ok,
    vectors,
)
from model_server import types
from model_server.client import ResponseInvalid, VectorSpaceChanged

CASES: dict[str, tuple[Any, ...]] = {
    # name of the case: method, arguments, keywords; request; answer; attribute and its value
    "rerank": (
        *("rerank", ("q", ["a", "b"]), {"top_n": 2, "score": "logit"}),
        ("POST", "/v1/rerank", {"query": "q", "documents": ["a", "b"], "score": "logit"}),
        *(RERANK, lambda found: [item.index for item in found.results], [1, 0]),
    ),
    "similarity": (
        *("similarity", ("a", "b"), {}),
        ("POST", "/predict", {"task_type": "similarity", "input_text": "a", "other_text": "b"}),
        *({"result": {"similarity": 0.5, **COST}}, lambda found: found.similarity, 0.5),
    ),
    "classify": (
        *("classify", ("a",), {"task_type": "sentiment"}),
        ("POST", "/predict", {"task_type": "sentiment", "input_text": "a"}),
        {"result": {"label": "x", "score": 1, "labels": [{"label": "x", "score": 1}], **COST}},
        *(lambda found: found.labels, [types.LabelScore(label="x", score=1)]),
    ),
    "entities": (
        *("entities", ("Ada",), {}),
        ("POST", "/predict", {"task_type": "ner", "input_text": "Ada"}),
        *({"result": {"entities": [ENTITY], **COST}}, lambda found: found.entities[0].type, "PER"),
    ),
    "answer": (
        *("answer", ("Who?", "Ada did."), {}),
        ("POST", "/predict", {"task_type": "qa", "input_text": "Ada did.", "question": "Who?"}),
        {"result": {"answer": "Ada", "start": 0, "end": 3, "score": 0.9, **COST}},
        *(lambda found: (found.answer, found.end), ("Ada", 3)),
    ),
    "predict": (
        *("predict", ("embedding", "a"), {}),
        ("POST", "/predict", {"task_type": "embedding", "input_text": "a"}),
        *({"result": {"embedding": [1.0], **COST}}, lambda found: found.embedding, [1.0]),
    ),
    "chat with a text": (
        *("chat", ("Hi",), {"temperature": 0, "stop": ["."], "seed": 1}),
        (
            *("POST", "/v1/chat/completions"),
            {"messages": [{"role": "user", "content": "Hi"}], "temperature": 0, "stop": ["."]},
        ),
        *(CHAT, lambda found: (found.text, found.finish_reason), ("Hello", "stop")),
    ),
    "chat with messages": (
        *("chat", ([types.ChatMessage(role="user", content="Hi")],), {"max_tokens": 3}),
        (
            *("POST", "/v1/chat/completions"),
            {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3, "stream": False},
        ),
        *(CHAT, lambda found: found.usage.total_tokens, 5),
    ),
    "models": (
        *("models", (), {}),
        ("GET", "/v1/models", None),
        *({"data": [CARD]}, lambda found: found.data[0].fingerprint, "sha256:1"),
    ),
    "health": (
        *("health", (), {}),
        *(("GET", "/health", None), {"status": "ok"}, lambda found: found.status, "ok"),
    ),
    "ready": (
        *("ready", (), {}),
        ("GET", "/ready", None),
        *({"status": "ready", "model": MODEL, "release": "r"}, lambda found: found.release, "r"),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_operation(driver: Driver, case: tuple[Any, ...]) -> None:
    name, args, kwargs, (method, path, body), answer, look, expected = case
    script = Script(ok({**answer, "field_of_a_newer_service": 1}))
    found = driver.call(script, name, *args, **kwargs)
    assert look(found) == expected
    (request,) = script.requests
    assert (request.method, request.url.path) == (method, path)
    probe = path in ("/health", "/ready")
    assert request.headers.get("authorization") == (None if probe else f"Bearer {KEY}")
    if body is None:
        assert request.content == b""
    else:
        assert body.items() <= script.bodies[0].items()
        assert script.bodies[0].get("model") == (MODEL if path.startswith("/v1/") else None)


def test_stream(driver: Driver) -> None:
    script = Script(events(*WHOLE))
    texts, stream = driver.call(script, "chat_stream", "Hi", max_tokens=9)
    assert texts == ["Hel", "lo"]
    assert stream.usage == types.ChatUsage(**USAGE)
    assert (stream.finish_reason, stream.request_id) == ("stop", "r1")
    (body,) = script.bodies
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert script.requests[0].headers["accept"] == "text/event-stream"


@pytest.mark.parametrize("base64_form", [True, False])
def test_embed_gives_the_same_numbers_either_way(driver: Driver, base64_form: bool) -> None:
    # Numbers that float32 holds exactly, as every number of the service.
    rows = [[0.10000000149011612, -2.5, 1.1754943508222875e-38], [1.0, 0.0, 3.4028234663852886e38]]
    script = Script(
        vectors(*rows, base64_form=base64_form, x_vector_space="sha256:1", x_truncated_inputs="1")
    )
    transfer = "base64" if base64_form else "float"
    result = driver.call(script, "embed", ["a", "b"], transfer=transfer)
    assert result.vectors == rows
    assert (result.dimensions, result.fingerprint, result.truncated) == (3, "sha256:1", 1)
    assert (result.model, result.usage.total_tokens) == (MODEL, 3)
    assert script.bodies == [{"model": MODEL, "input": ["a", "b"], "encoding_format": transfer}]


def test_embed_takes_one_text(driver: Driver) -> None:
    script = Script(vectors([1.0]))
    assert driver.call(script, "embed", "a").vectors == [[1.0]]
    assert script.bodies[0]["input"] == ["a"]


def test_vectors_are_put_in_order(driver: Driver) -> None:
    body = vectors([1.0], [2.0]).json()
    body["data"].reverse()
    assert driver.call(Script(ok(body)), "embed", ["a", "b"]).vectors == [[1.0], [2.0]]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (vectors([1.0]), "1 vectors for 2 texts"),
        (vectors([1.0], [1.0, 2.0]), "not all of one size"),
        (vectors([], []), "not all of one size"),
        (httpx2.Response(200, text="<html>Welcome</html>"), "body: Invalid JSON"),
        (ok({"object": "list", "data": []}), "model: Field required"),
        (vectors([1.0], [1.0], x_truncated_inputs="many"), "invalid literal"),
    ],
)
def test_what_no_service_answers_is_refused(driver: Driver, answer: Any, reason: str) -> None:
    script = Script(answer)
    with pytest.raises(ResponseInvalid, match=reason):
        driver.call(script, "embed", ["a", "b"])
    assert len(script.requests) == 1


@pytest.mark.parametrize("text", ["no base64", "AAAA"])
def test_broken_base64_is_refused(driver: Driver, text: str) -> None:
    body = vectors([1.0]).json()
    body["data"][0]["embedding"] = text
    with pytest.raises(ResponseInvalid, match="not float32 in base64"):
        driver.call(Script(ok(body)), "embed", "a")


@pytest.mark.parametrize(
    ("name", "answer"),
    [("models", {"data": []}), ("chat", CHAT | {"choices": []})],
)
def test_an_empty_answer_is_refused(driver: Driver, name: str, answer: Any) -> None:
    with pytest.raises(ResponseInvalid):
        driver.call(Script(ok(answer)), name, *(["Hi"] if name == "chat" else []))


@pytest.mark.parametrize("where", ["client", "call"])
@pytest.mark.parametrize("actual", ["sha256:2", None])
def test_vectors_of_another_space_are_refused(
    driver: Driver, where: str, actual: str | None
) -> None:
    script = Script(vectors([1.0], **({"x_vector_space": actual} if actual else {})))
    expected = {"expect_fingerprint": "sha256:1"}
    with pytest.raises(VectorSpaceChanged) as caught:
        driver.call(
            *(script, "embed", "a"),
            options=expected if where == "client" else {},
            **(expected if where == "call" else {}),
        )
    assert (caught.value.expected, caught.value.actual) == ("sha256:1", actual)
    assert caught.value.request_id == "r1"
    assert len(script.requests) == 1


def test_vectors_of_the_expected_space_are_given(driver: Driver) -> None:
    script = Script(vectors([1.0], x_vector_space="sha256:1"))
    result = driver.call(script, "embed", "a", expect_fingerprint="sha256:1")
    assert result.fingerprint == "sha256:1"


def test_the_served_name_is_asked_for_once(driver: Driver) -> None:
    script = Script(ok({"data": [CARD | {"id": "other"}]}), vectors([1.0]))
    embed = ("embed", ("a",), {})
    driver.calls(script, embed, embed, options={"model": None})
    paths = [request.url.path for request in script.requests]
    assert paths == ["/v1/models", "/v1/embeddings", "/v1/embeddings"]
    assert [body["model"] for body in script.bodies] == ["other", "other"]


TOKEN = {"access_token": "t1", "token_type": "Bearer", "expires_in": 60}


def test_login_keeps_the_token(driver: Driver) -> None:
    script = Script(ok(TOKEN), vectors([1.0]))
    login = ("login", ("ada", "secret"), {})
    results = driver.calls(script, login, ("embed", ("a",), {}), options={"api_key": None})
    assert results[0] == 60
    assert script.bodies[0] == {"username": "ada", "password": "secret"}
    sent = [request.headers.get("authorization") for request in script.requests]
    assert sent == [None, "Bearer t1"]


def test_an_expired_token_is_renewed_once_when_asked(driver: Driver) -> None:
    expired = failure(401, "expired", x_should_retry="false")
    script = Script(ok(TOKEN), expired, ok(TOKEN | {"access_token": "t2"}), vectors([1.0]))
    login = ("login", ("ada", "secret"), {"renew": True})
    results = driver.calls(script, login, ("embed", ("a",), {}))
    assert results[1].vectors == [[1.0]]
    sent = [request.headers.get("authorization") for request in script.requests]
    assert sent == [None, "Bearer t1", None, "Bearer t2"]
    assert script.slept == []
