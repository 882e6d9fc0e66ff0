# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""POST /predict for every task, on the fake engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flask import g
from structlog.testing import capture_logs

from support import AUTHORIZED, Service, error

Serve = Callable[..., Service]
ENTITIES = ("O", "B-PER", "I-PER")


def result(response: Any) -> dict[str, Any]:
    assert response.status_code == 200, response.get_data(as_text=True)
    return dict(response.json["result"])


def test_embedding_is_that_of_the_embeddings_path(service: Service) -> None:
    found = result(service.predict("embedding", "hello world"))
    assert found["embedding"] == service.embed("hello world").json["data"][0]["embedding"]
    assert (found["tokens"], found["truncated"]) == (4, False)


def test_similarity_is_the_cosine(service: Service) -> None:
    same = result(service.predict("similarity", "a b", other_text="a b"))
    assert same["similarity"] == pytest.approx(1)
    assert same["tokens"] == 8
    left, right = (np.array(row["embedding"]) for row in service.embed(["a b", "c"]).json["data"])
    other = result(service.predict("similarity", "a b", other_text="c"))
    assert other["similarity"] == pytest.approx(float(left @ right), abs=1e-6)


@pytest.mark.parametrize("task_type", ["classification", "sentiment"])
def test_classification_tells_all_labels(serve: Serve, task_type: str) -> None:
    service = serve("classification", ("negative", "positive"))
    found = result(service.predict(task_type, "positive positive negative"))
    assert found["label"] == "positive"
    assert [row["label"] for row in found["labels"]] == ["positive", "negative"]
    assert found["score"] == found["labels"][0]["score"] == pytest.approx(1 / (1 + np.exp(-1)))


def test_a_cut_text_is_told(serve: Serve) -> None:
    service = serve("classification", ("a", "b"))
    response = service.predict("classification", "a " * 20)
    assert result(response)["truncated"] is True
    assert response.headers["X-Truncated-Inputs"] == "1"


def test_ner_tells_entities_in_characters(serve: Serve) -> None:
    service = serve("token_classification", ENTITIES)
    found = result(service.predict("ner", "\U0001f600 x B-PER I-PER"))
    (entity,) = found["entities"]
    score = entity.pop("score")
    assert entity == {"text": "B-PER I-PER", "type": "PER", "start": 4, "end": 15}
    assert 0.9 < score <= 1


def test_qa_tells_the_answer_in_characters(serve: Serve) -> None:
    service = serve("question_answering")
    found = result(service.predict("qa", "\U0001f600 x from here until y", question="where?"))
    assert (found["answer"], found["start"], found["end"]) == ("from here until", 4, 19)
    assert 0 < found["score"] <= 1


@pytest.mark.parametrize(
    ("task", "labels", "offered"),
    [
        ("embedding", (), ["embedding", "similarity"]),
        ("rerank", ("LABEL_0",), []),
        ("classification", ("sport", "food"), ["classification"]),
        ("classification", ("正面", "负面"), ["classification", "sentiment"]),
        ("token_classification", ENTITIES, ["ner"]),
        ("question_answering", (), ["qa"]),
    ],
)
def test_a_task_that_the_model_lacks_is_refused_with_those_it_has(
    serve: Serve, task: str, labels: tuple[str, ...], offered: list[str]
) -> None:
    service = serve(task, labels)
    failure = error(service.predict("relation", "a"), 404, "task_not_offered")
    assert failure["param"] == "task_type"
    assert failure["details"] == {"offered": offered}
    (model,) = service.client.get("/v1/models", headers=AUTHORIZED).json["data"]
    assert model["predict_tasks"] == offered
    for task_type in {"embedding", "classification", "sentiment", "ner", "qa"} - set(offered):
        error(service.predict(task_type, "a"), 404, "task_not_offered")


@pytest.mark.parametrize(
    ("task", "labels", "body", "param"),
    [
        ("embedding", (), {"task_type": "similarity"}, "other_text"),
        ("embedding", (), {"task_type": "embedding", "other_text": "b"}, "other_text"),
        ("embedding", (), {"task_type": "embedding", "question": "b"}, "question"),
        (
            "embedding",
            (),
            {"task_type": "similarity", "other_text": "b", "question": "c"},
            "question",
        ),
        ("question_answering", (), {"task_type": "qa"}, "question"),
        ("token_classification", ENTITIES, {"task_type": "ner", "question": "q"}, "question"),
        ("question_answering", (), {"task_type": "qa", "question": "why " * 20}, "question"),
        ("embedding", (), {"task_type": "embedding", "input_text": ["a"]}, "input_text"),
        ("embedding", (), {"task_type": "similarity", "other_text": ""}, "other_text"),
    ],
)
def test_a_field_at_fault_is_named(
    serve: Serve, task: str, labels: tuple[str, ...], body: dict[str, Any], param: str
) -> None:
    response = serve(task, labels).post("/predict", {"input_text": "a", **body})
    assert error(response, 422, "invalid_value")["param"] == param


def test_a_missing_field_is_named(service: Service) -> None:
    assert error(service.post("/predict", {}), 422, "invalid_value")["param"] == "task_type"


def test_a_long_text_is_read_whole_or_refused_as_too_large(serve: Serve) -> None:
    service = serve("token_classification", ENTITIES, batching={"max_queue_tokens": 128})
    found = result(service.predict("ner", "x " * 40 + "B-PER"))
    assert (found["entities"][0]["start"], found["truncated"]) == (80, False)
    assert found["tokens"] > 43, "windows overlap"
    error(service.predict("ner", "x " * 400), 413, "too_large")


def test_the_log_tells_what_it_cost_and_the_record_holds_every_text(serve: Serve) -> None:
    service = serve("question_answering")
    inputs: list[list[str]] = []

    @service.app.after_request
    def look(response: Any) -> Any:
        inputs.append(g.record.inputs)
        return response

    with capture_logs() as logs:
        service.predict("qa", "the context", question="the question")
    assert inputs == [["the context", "the question"]]
    assert (logs[-1]["inputs"], logs[-1]["truncated"]) == (2, 0)
    assert logs[-1]["tokens"] > 0
