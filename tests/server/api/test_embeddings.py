# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""POST /v1/embeddings on the fake engine."""

from __future__ import annotations

import base64
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes import HIDDEN, FakeEngine
from model_server.tasks.pooling import Pooling
from support import Service, error


def vectors(response: Any) -> np.ndarray[Any, Any]:
    assert response.status_code == 200, response.get_data(as_text=True)
    return np.array([row["embedding"] for row in response.json["data"]])


def test_one_text_gives_one_vector_of_norm_one(service: Service) -> None:
    response = service.embed("hello world")
    body = response.json
    (vector,) = vectors(response)
    assert vector.shape == (HIDDEN,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
    assert body["object"] == "list"
    assert body["model"] == "all-MiniLM-L6-v2"
    assert body["data"][0]["object"] == "embedding"
    assert body["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    assert response.headers["X-Truncated-Inputs"] == "0"
    assert "queue;dur=" in response.headers["Server-Timing"]


def test_texts_keep_their_order_whatever_their_length(service: Service) -> None:
    texts = ["a b c d e f g", "a", "b c d", "a b", "h i j k"]
    together = vectors(service.embed(texts))
    alone = np.concatenate([vectors(service.embed(text)) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert [row["index"] for row in service.embed(texts).json["data"]] == [0, 1, 2, 3, 4]


def test_base64_holds_the_same_little_endian_floats(service: Service) -> None:
    text = service.embed("a b", encoding_format="base64").json["data"][0]["embedding"]
    decoded = np.frombuffer(base64.b64decode(text), dtype="<f4")
    np.testing.assert_allclose(decoded, vectors(service.embed("a b"))[0], atol=1e-7)


def test_a_long_text_is_cut_and_the_answer_says_so(service: Service) -> None:
    words = [f"w{index}" for index in range(40)]
    response = service.embed([" ".join(words), "short"])
    assert response.headers["X-Truncated-Inputs"] == "1"
    assert response.json["usage"]["prompt_tokens"] == 16 + 3
    cut = vectors(service.embed(" ".join(words[:14])))[0]
    np.testing.assert_allclose(vectors(response)[0], cut, atol=1e-6)


@pytest.mark.parametrize("text", ["   ", "\U0001f600 \u4f60\u597d", "e\u0301"])
def test_unusual_text_is_embedded(service: Service, text: str) -> None:
    assert np.isfinite(vectors(service.embed(text))).all()


def test_the_models_own_dimensions_are_accepted(service: Service) -> None:
    assert service.embed("a", dimensions=HIDDEN, user="someone").status_code == 200


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"input": 1}, "input", "string or a list of strings"),
        ({"input": None}, "input", "string or a list of strings"),
        ({"input": [1, 2]}, "input", "arrays of tokens are not accepted"),
        ({"input": [[1, 2]]}, "input", "arrays of tokens are not accepted"),
        ({"input": ["a", 1]}, "input", "input.list.1"),
        ({"input": ["a", None]}, "input", "input.list.1"),
        ({"input": []}, "input", "at least 1"),
        ({"input": ""}, "input", "at least 1"),
        ({"input": ["a", ""]}, "input", "input.list.1"),
        ({"input": "a\ud800"}, "input", "unicode"),
        ({"model": 5}, "model", "valid string"),
        ({"encoding_format": "int8"}, "encoding_format", "'float' or 'base64'"),
        ({"dimensions": HIDDEN + 1}, "dimensions", f"gives {HIDDEN} dimensions"),
        ({"dimensions": "8"}, "dimensions", "valid integer"),
        ({"dimension": 8}, "dimension", "Extra inputs"),
    ],
)
def test_a_wrong_field_is_named(service: Service, fields: Any, param: str, says: str) -> None:
    body = {"model": "all-MiniLM-L6-v2", "input": "a", **fields}
    failure = error(service.post("/v1/embeddings", body), 422, "invalid_value")
    assert failure["param"] == param
    assert says in failure["message"]


@pytest.mark.parametrize("missing", ["model", "input"])
def test_a_missing_field_is_named(service: Service, missing: str) -> None:
    body = {"model": "all-MiniLM-L6-v2", "input": "a"}
    del body[missing]
    failure = error(service.post("/v1/embeddings", body), 422, "invalid_value")
    assert failure["param"] == missing


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"5", b"null"])
def test_json_that_is_no_object_is_refused(service: Service, body: bytes) -> None:
    error(service.post_bytes("/v1/embeddings", body), 422, "invalid_value")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe\xfa",
        b'{"input": NaN}',
        b"[" * 4000,
        b'{"model": "a", "input": ' + b"9" * 4500 + b"}",
    ],
)
def test_what_is_not_json_is_malformed(engine: FakeEngine, snapshot: Path, body: bytes) -> None:
    service = Service(engine, snapshot, limits={"body_bytes": 1_000_000})
    error(service.post_bytes("/v1/embeddings", body), 400, "malformed_request")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_refused(service: Service, content_type: str) -> None:
    response = service.post_bytes("/v1/embeddings", b"{}", content_type)
    error(response, 415, "unsupported_media_type")


def test_too_large_a_body_is_refused(service: Service) -> None:
    error(service.embed("a" * 5000), 413, "too_large")


def test_too_many_inputs_are_refused(service: Service) -> None:
    failure = error(service.embed(["a"] * 9), 413, "too_large")
    assert "one request may have 8" in failure["message"]


def test_an_unknown_model_is_named(service: Service) -> None:
    response = service.post("/v1/embeddings", {"model": "gpt", "input": "a"})
    failure = error(response, 404, "model_not_found")
    assert "all-MiniLM-L6-v2" in failure["message"]
    assert failure["param"] == "model"


def test_numbers_that_are_not_finite_never_leave(service: Service) -> None:
    error(service.embed(["fine", "nan"]), 500, "engine_error")
    assert service.embed("fine").status_code == 200


def test_one_bad_input_does_not_harm_other_requests(service: Service) -> None:
    answers: dict[str, Any] = {}

    def ask(text: str) -> None:
        answers[text] = service.embed(text)

    service.engine.block()
    threads = [threading.Thread(target=ask, args=(text,)) for text in ("first", "poison", "good")]
    for thread in threads:
        thread.start()
        assert service.engine.entered.wait(timeout=30)
    service.engine.unblock()
    for thread in threads:
        thread.join(timeout=30)
    error(answers["poison"], 500, "engine_error")
    assert answers["first"].status_code == answers["good"].status_code == 200


def test_an_engine_that_is_short_of_memory_computes_less_at_once(service: Service) -> None:
    service.engine.rows_that_fit = 2
    assert vectors(service.embed(["a", "b", "c", "d", "e"])).shape == (5, HIDDEN)


def test_pooling_reaches_the_answer(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    before = vectors(service.embed("a b c"))
    monkeypatch.setattr(service.runtime.task, "_pooling", Pooling(("cls",), normalize=True))
    assert not np.allclose(before, vectors(service.embed("a b c")))
