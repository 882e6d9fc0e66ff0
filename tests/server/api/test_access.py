# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Who may call, and how much, as clients see it: statuses, codes and headers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Response, g

from access import BOTH, PASSWORD, SIGN_IN, api_key
from fakes import FakeClock, FakeEngine
from model_server.api._envelope import admit_client
from model_server.api._scopes import scope_of
from model_server.credentials import KeyLimits
from model_server.security.access import Admission, Client
from support import AUTHORIZED, Service, error

STRANGER = {"X-Forwarded-For": "192.0.2.1"}
OPERATIONS = ["/metrics", "/openapi.json", "/docs", "/docs/zh", "/playground", "/playground/x.js"]
TEXT = {"model": "all-MiniLM-L6-v2", "input": "a"}
BODIES = {"/v1/embeddings": TEXT, "/predict": {"task_type": "embedding", "input_text": "a"}}

Serve = Callable[..., Service]


@pytest.fixture
def serve(engine: FakeEngine, snapshot: Path) -> Iterator[Serve]:
    """Make ready services with changed sections."""
    services: list[Service] = []

    def serve(**sections: Any) -> Service:
        services.append(Service(engine, snapshot, **sections).load())
        return services[-1]

    yield serve
    engine.unblock()
    for service in services:
        service.runtime.stop(timeout=5)


def login(service: Service, password: str = PASSWORD, **headers: str) -> Any:
    body = {"username": "alice", "password": password}
    return service.client.post("/login", json=body, headers=headers)


def test_the_network_is_checked_before_the_key(serve: Serve) -> None:
    service = serve(access={"allow_from": ["192.0.2.0/25", "2001:db8::/32"]})
    for forwarded in ("192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "10.0.0.1, 192.0.2.1"):
        answer = service.client.get("/v1/models", headers={"X-Forwarded-For": forwarded})
        error(answer, 401, "invalid_api_key")
        answer = service.client.get(
            "/v1/models", headers={**AUTHORIZED, "X-Forwarded-For": forwarded}
        )
        assert answer.status_code == 200
    for forwarded in ("192.0.2.128", "192.0.2.1, 10.0.0.1", "", "192.0.2.1:80", "unknown"):
        for headers in ({}, AUTHORIZED):
            answer = service.client.get(
                "/v1/models", headers={**headers, "X-Forwarded-For": forwarded}
            )
            error(answer, 403, "address_not_allowed")
    error(service.client.get("/v1/models"), 403, "address_not_allowed")


def test_too_few_hops_are_not_trusted(serve: Serve) -> None:
    service = serve(access={"allow_from": ["192.0.2.0/24"], "trusted_proxies": 2})
    sent = {"192.0.2.1": 403, "192.0.2.1, 10.0.0.1": 200, "192.0.2.1, 8.8.8.8, 10.0.0.1": 403}
    for forwarded, status in sent.items():
        headers = {**AUTHORIZED, "X-Forwarded-For": forwarded}
        assert service.client.get("/v1/models", headers=headers).status_code == status


@pytest.mark.parametrize("path", OPERATIONS)
def test_operations_are_hidden_from_others(service: Service, path: str) -> None:
    hidden = error(service.client.get(path, headers=STRANGER), 404, "route_not_found")
    nowhere = error(service.client.get("/nowhere", headers=STRANGER), 404, "route_not_found")
    assert hidden["message"] == nowhere["message"]
    error(service.client.post(path, headers=STRANGER), 404, "route_not_found")
    error(service.client.get(path, headers={"X-Forwarded-For": ""}), 404, "route_not_found")
    spoofed = {"X-Forwarded-For": "127.0.0.1, 192.0.2.1"}
    error(service.client.get(path, headers=spoofed), 404, "route_not_found")


def test_operators_see_operations_from_their_networks(serve: Serve) -> None:
    service = serve(access={"operators_from": ["192.0.2.0/24"]})
    for path in ("/metrics", "/openapi.json"):
        assert service.client.get(path, headers=STRANGER).status_code == 200
        error(service.client.get(path), 404, "route_not_found")


def test_probes_are_open_to_everybody(serve: Serve) -> None:
    service = serve(access={"allow_from": ["10.0.0.0/8"]}, rates={"address_requests_per_minute": 1})
    for _turn in range(3):
        for path in ("/health", "/ready"):
            assert service.client.get(path, headers=STRANGER).status_code == 200


def test_an_open_service_is_open_on_its_host_only(serve: Serve) -> None:
    service = serve(authentication={"methods": ["none"]})
    answer = service.client.get("/v1/models")
    assert answer.status_code == 200 and "X-Client-Name" not in answer.headers
    error(service.client.get("/v1/models", headers=STRANGER), 403, "address_not_allowed")
    spoofed = {"X-Forwarded-For": "127.0.0.1, 192.0.2.1"}
    error(service.client.get("/v1/models", headers=spoofed), 403, "address_not_allowed")
    document = service.client.get("/openapi.json").json
    assert "securitySchemes" not in document["components"]


def test_every_path_for_clients_has_a_scope(service: Service) -> None:
    admitting = {
        name
        for name, hooks in service.app.before_request_funcs.items()
        if any(getattr(hook, "func", None) is admit_client for hook in hooks)
    }
    rules = [
        str(rule)
        for rule in service.app.url_map.iter_rules()
        if rule.endpoint.partition(".")[0] in admitting
    ]
    assert {"/v1/embeddings", "/predict", "/v1/models"} <= set(rules)
    for rule in rules:
        assert scope_of(rule)


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/v1/embeddings", "embeddings"),
        ("POST", "/predict", "predict"),
        ("GET", "/v1/models", "models"),
        ("GET", "/v1/models/all-MiniLM-L6-v2", "models"),
    ],
)
def test_each_path_needs_its_scope(serve: Serve, method: str, path: str, scope: str) -> None:
    service = serve(
        credentials={
            "api_keys": [
                api_key("with", "with", scopes=[scope]),
                api_key(
                    "without", "without", scopes=[s for s in ("predict", "chat") if s != scope]
                ),
            ]
        }
    )

    def call(key: str) -> Any:
        headers = {"X-API-Key": key}
        return service.client.open(path, method=method, json=BODIES.get(path), headers=headers)

    assert call("with").status_code == 200
    answer = call("without")
    failure = error(answer, 403, "insufficient_scope")
    assert scope in failure["message"]
    assert f'scope="{scope}"' in answer.headers["WWW-Authenticate"]


def test_an_expired_key_is_told_so(serve: Serve) -> None:
    keys = [api_key("old", expires="2020-01-01T00:00:00Z")]
    answer = serve(credentials={"api_keys": keys}).client.get(
        "/v1/models", headers={"X-API-Key": "old"}
    )
    error(answer, 401, "expired")
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("name", "told"),
    [("demo", "demo"), ("ada@home 1", "ada@home 1"), ("明\r\n", "%E6%98%8E%0D%0A")],
)
def test_the_edge_is_told_whose_key_it_was(serve: Serve, name: str, told: str) -> None:
    keys = [api_key("test-key", name), api_key("narrow", scopes=["chat"])]
    service = serve(credentials={"api_keys": keys})
    answer = service.client.get("/v1/models", headers=AUTHORIZED)
    assert answer.headers["X-Client-Name"] == told
    for path, key in (("/v1/models", "wrong"), ("/v1/models", "narrow"), ("/health", "test-key")):
        answer = service.client.get(path, headers={"X-API-Key": key})
        assert "X-Client-Name" not in answer.headers


def test_a_login_gives_a_token_that_opens_the_service(serve: Serve) -> None:
    service = serve(authentication=BOTH, credentials=SIGN_IN)
    answer = login(service)
    assert answer.status_code == 200
    assert (answer.json["token_type"], answer.json["expires_in"]) == ("Bearer", 3600)
    token = {"Authorization": f"Bearer {answer.json['access_token']}"}
    with service.client as client:
        assert client.get("/v1/models", headers=token).status_code == 200
        assert (g.record.client, g.record.address) == ("alice", "127.0.0.1")
    assert service.client.get("/v1/models", headers=AUTHORIZED).status_code == 200


def test_a_failed_login_tells_nothing(serve: Serve) -> None:
    service = serve(authentication=BOTH, credentials=SIGN_IN)
    with service.client as client:
        wrong = error(login(service, "wrong"), 401, "invalid_credentials")
        body = {"username": "bob", "password": "wrong"}
        unknown = error(client.post("/login", json=body), 401, "invalid_credentials")
        assert wrong["message"] == unknown["message"]
        assert g.record.client is None


def test_a_locked_out_user_is_told_when_to_come_back(serve: Serve) -> None:
    service = serve(authentication={**BOTH, "lockout_failures": 2}, credentials=SIGN_IN)
    for _turn in range(2):
        error(login(service, "wrong", **STRANGER), 401, "invalid_credentials")
    answer = login(service, **STRANGER)
    error(answer, 429, "locked_out")
    assert answer.headers["Retry-After"] == "900"
    assert answer.headers["x-should-retry"] == "false"
    assert login(service).status_code == 200


def test_a_login_is_held_to_networks_limits_and_form(serve: Serve) -> None:
    service = serve(
        authentication=BOTH,
        credentials=SIGN_IN,
        access={"allow_from": ["192.0.2.0/24"]},
        rates={"address_requests_per_minute": 4},
    )
    error(login(service), 403, "address_not_allowed")
    wrong = service.client.post("/login", data=b"x", headers=STRANGER)
    error(wrong, 415, "unsupported_media_type")
    for body in ({"username": "alice"}, {"username": "\ud800", "password": "x"}):
        answer = service.client.post("/login", json=body, headers=STRANGER)
        error(answer, 422, "invalid_value")
    assert login(service, **STRANGER).status_code == 200
    answer = login(service, **STRANGER)
    assert error(answer, 429, "rate_limited")["details"]["limit"] == "address_requests_per_minute"
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("methods", [["api_key"], ["none"]])
def test_there_is_no_login_without_tokens(serve: Serve, methods: list[str]) -> None:
    error(login(serve(authentication={"methods": methods})), 404, "route_not_found")


def test_answers_tell_what_remains(serve: Serve) -> None:
    clock = FakeClock()
    service = serve(rates={"requests_per_minute": 3}, clock=clock)
    good, bad, wrong = service.embed("a"), service.embed(5), service.post_bytes("/predict", b"", "")
    assert [answer.status_code for answer in (good, bad, wrong)] == [200, 422, 415]
    for answer, remaining in zip((good, bad, wrong), "210", strict=True):
        assert answer.headers["RateLimit-Limit"] == "3"
        assert answer.headers["RateLimit-Remaining"] == remaining
        assert answer.headers["RateLimit-Reset"] == "60"
    clock.advance(10)
    answer = service.embed("a")
    failure = error(answer, 429, "rate_limited")
    assert failure["details"] == {"limit": "requests_per_minute", "allowed": 3}
    assert answer.headers["Retry-After"] == answer.headers["RateLimit-Reset"] == "50"
    assert answer.headers["RateLimit-Remaining"] == "0"
    assert answer.headers["x-should-retry"] == "true"
    assert "RateLimit-Limit" not in service.client.get("/health").headers
    clock.advance(50)
    assert service.embed("a").status_code == 200


def test_tokens_of_an_answer_are_counted(serve: Serve) -> None:
    service = serve(rates={"tokens_per_minute": 12, "requests_per_minute": 0})
    assert service.embed("a b c d e f g h").headers["RateLimit-Remaining"] == "12"
    assert service.embed("a").headers["RateLimit-Remaining"] == "2"
    failure = error(service.embed("a"), 429, "rate_limited")
    assert failure["details"] == {"limit": "tokens_per_minute", "allowed": 12}


def test_requests_of_one_client_at_once_are_limited(engine: FakeEngine, serve: Serve) -> None:
    service = serve(
        rates={"concurrency": 1}, credentials={"api_keys": [api_key("a", "a"), api_key("b", "b")]}
    )

    def embed(key: str) -> Any:
        return service.client.post("/v1/embeddings", json=TEXT, headers={"X-API-Key": key})

    engine.block()
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(embed("a")))]
    threads[0].start()
    assert engine.entered.wait(timeout=30)
    answer = embed("a")
    assert error(answer, 429, "rate_limited")["details"]["limit"] == "concurrency"
    assert answer.headers["Retry-After"] == "1"
    threads.append(threading.Thread(target=lambda: answers.append(embed("b"))))
    threads[1].start()
    engine.unblock()
    for thread in threads:
        thread.join(timeout=30)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert embed("a").status_code == 200


@pytest.mark.parametrize("text", [5, "poison"])
def test_a_request_that_fails_gives_back_its_place(serve: Serve, text: Any) -> None:
    service = serve(rates={"concurrency": 1})
    assert service.embed(text).status_code in (422, 500)
    assert service.post_bytes("/predict", b"", "text/plain").status_code == 415
    assert service.embed("a").status_code == 200


def test_a_stream_gives_back_when_it_is_closed(service: Service) -> None:
    released: list[int] = []

    def stream() -> Iterator[bytes]:
        yield b"one"
        g_record.tokens = 7
        yield b"two"

    @service.app.get("/stream")
    def view() -> Response:
        nonlocal g_record
        g_record = g.record
        client = Client("demo", "api_key", frozenset(), KeyLimits())
        g.admission = Admission(client, {"RateLimit-Limit": "1"}, released.append)
        return Response(stream())

    g_record: Any = None
    answer = service.client.get("/stream")
    assert answer.headers["RateLimit-Limit"] == "1"
    parts = iter(answer.response)
    assert next(parts) == b"one"
    assert released == []
    assert next(parts) == b"two"
    answer.close()
    answer.close()
    assert released == [7]


def test_the_document_tells_how_to_identify_oneself(serve: Serve) -> None:
    document = serve(authentication=BOTH, credentials=SIGN_IN).client.get("/openapi.json").json
    schemes = document["components"]["securitySchemes"]
    assert schemes["token"] == {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Token of `POST /login`",
    }
    assert schemes["api_key"] == {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    security = document["paths"]["/v1/embeddings"]["post"]["security"]
    assert security == [{"bearer": []}, {"api_key": []}, {"token": []}]
    login = document["paths"]["/login"]["post"]
    assert "security" not in login
    assert "`locked_out`" in login["responses"]["429"]["description"]


def test_metrics_tell_the_age_of_secrets_and_where_usage_is_counted(serve: Serve) -> None:
    clock = FakeClock()
    keys = [api_key("k", created="1970-01-01T00:00:10Z", expires="1970-01-01T00:01:00Z")]
    service = serve(credentials={"api_keys": keys}, clock=clock)
    clock.advance(30)
    text = service.client.get("/metrics").get_data(as_text=True)
    assert 'model_server_secret_age_seconds{kind="api_key",name="demo"} 20.0' in text
    assert 'model_server_secret_expiry_seconds{kind="api_key",name="demo"} 30.0' in text
    assert "model_server_limits_fallback 0.0" in text


def test_a_dead_redis_is_a_metric_and_no_refusal(serve: Serve, tmp_path: Path) -> None:
    service = serve(rates={"storage": f"redis+unix://{tmp_path}/none.sock"})
    assert service.embed("a").status_code == 200
    text = service.client.get("/metrics").get_data(as_text=True)
    assert "model_server_limits_fallback 1.0" in text
