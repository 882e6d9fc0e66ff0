# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""POST /v1/rerank on the fake engine: the score of a document is how often `good` stands in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support import Service, error

DOCUMENTS = ["bad", "good good", {"text": "good"}, "worse"]


@pytest.fixture
def service(serve: Callable[..., Service]) -> Service:
    return serve("rerank", ("good",))


def test_documents_come_best_first(service: Service) -> None:
    response = service.rerank("q", DOCUMENTS)
    assert response.status_code == 200
    body = response.json
    assert [row["index"] for row in body["results"]] == [1, 2, 0, 3]
    assert body["results"][0]["relevance_score"] == pytest.approx(0.880797, abs=1e-6)
    assert body["results"][3]["relevance_score"] == pytest.approx(0.5)
    assert all(set(row) == {"index", "relevance_score"} for row in body["results"])
    assert body["usage"] == {"total_tokens": 5 + 6 + 5 + 5}
    assert body["object"] == "list"
    assert body["model"] == "all-MiniLM-L6-v2"
    assert response.headers["X-Request-ID"] in body["id"]
    assert response.headers["X-Truncated-Inputs"] == "0"


def test_raw_scores_are_given_when_asked_for(service: Service) -> None:
    rows = service.rerank("q", DOCUMENTS, score="logit").json["results"]
    assert [row["relevance_score"] for row in rows] == [2, 1, 0, 0]


@pytest.mark.parametrize(("top_n", "expected"), [(1, [1]), (3, [1, 2, 0]), (99, [1, 2, 0, 3])])
def test_only_the_best_are_returned(service: Service, top_n: int, expected: list[int]) -> None:
    rows = service.rerank("q", DOCUMENTS, top_n=top_n).json["results"]
    assert [row["index"] for row in rows] == expected


def test_documents_are_returned_when_asked_for(service: Service) -> None:
    rows = service.rerank("q", DOCUMENTS, return_documents=True, top_n=2).json["results"]
    assert [row["document"] for row in rows] == [{"text": "good good"}, {"text": "good"}]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"documents": []}, "documents"),
        ({"documents": [""]}, "documents"),
        ({"documents": [1]}, "documents"),
        ({"documents": [{"title": "a"}]}, "documents"),
        ({"query": ""}, "query"),
        ({"query": "q " * 13}, "query"),
        ({"top_n": 0}, "top_n"),
        ({"score": "cosine"}, "score"),
        ({"rank_fields": []}, "rank_fields"),
    ],
)
def test_a_wrong_field_is_named(service: Service, fields: dict[str, Any], param: str) -> None:
    body = {"model": "all-MiniLM-L6-v2", "query": "q", "documents": ["d"], **fields}
    assert error(service.post("/v1/rerank", body), 422, "invalid_value")["param"] == param


def test_too_many_documents_are_refused(service: Service) -> None:
    error(service.rerank("q", ["d"] * 9), 413, "too_large")


def test_another_model_is_refused(service: Service) -> None:
    body = {"model": "gpt", "query": "q", "documents": ["d"]}
    error(service.post("/v1/rerank", body), 404, "model_not_found")


def test_each_path_belongs_to_its_task(service: Service, serve: Callable[..., Service]) -> None:
    error(service.embed("a"), 404, "route_not_found")
    error(serve("embedding").rerank("q", ["d"]), 404, "route_not_found")
