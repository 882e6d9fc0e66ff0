# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What tiny trained models answer, through the whole application."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny_data
import tiny_models
from model_server.engines import create
from model_server.engines.base import Purpose
from support import AUTHORIZED, Service, error

pytestmark = pytest.mark.models

Tiny = Callable[[str], Path]
Serve = Callable[..., Service]
UNSEEN = 4242
TASKS = {
    "sentiment": "classification",
    "topic": "classification",
    "ner": "token_classification",
    "qa": "question_answering",
    "rerank": "rerank",
}


@pytest.fixture(scope="module")
def serve(tiny: Tiny) -> Iterator[Serve]:
    """Ready services of the tiny models."""
    services: dict[str, Service] = {}

    def make(name: str, max_tokens: int | None = None) -> Service:
        key = f"{name} {max_tokens}"
        if key not in services:
            engine: Any = create("transformers", Purpose.STATES)
            services[key] = Service(
                engine,
                tiny(name),
                service={"task": TASKS[name]},
                engine={"max_tokens": max_tokens},
                batching={"max_batch_tokens": 2048, "max_queue_tokens": 16384},
                limits={"body_bytes": 65536, "inputs_per_request": 64},
            ).load()
        return services[key]

    yield make
    for service in services.values():
        service.runtime.stop(timeout=5)


def result(response: Any) -> dict[str, Any]:
    assert response.status_code == 200, response.get_data(as_text=True)
    return dict(response.json["result"])


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("the hotel was lovely", "positive"),
        ("this phone was awful \U0001f600", "negative"),
        ("the film was not good", "negative"),
        ("the song was not boring", "positive"),
        ("our concert was here today", "neutral"),
        ("这个电影很精彩。", "positive"),
        ("这个酒店真糟糕！", "negative"),
        ("这个手机很是蓝色\U0001f680", "neutral"),
    ],
)
@pytest.mark.parametrize("task_type", ["sentiment", "classification"])
def test_sentiment(serve: Serve, task_type: str, text: str, label: str) -> None:
    found = result(serve("sentiment").predict(task_type, text))
    assert found["label"] == label
    assert found["score"] > 0.8
    assert sum(row["score"] for row in found["labels"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("some news about the football match", "sport"),
        ("今天 的 面条 好吃", "food"),
        ("下雨 大风", "weather"),
        ("news of the train journey", "travel"),
    ],
)
def test_topic(serve: Serve, text: str, label: str) -> None:
    service = serve("topic")
    assert result(service.predict("classification", text))["label"] == label
    (model,) = service.client.get("/v1/models", headers=AUTHORIZED).json["data"]
    assert model["labels"] == list(tiny_data.TOPICS)
    assert model["predict_tasks"] == ["classification"]
    error(service.predict("sentiment", text), 404, "task_not_offered")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("张伟住在北京。", [("张伟", "PER", 0, 2), ("北京", "LOC", 4, 6)]),
        ("\U0001f600张伟住在北京。", [("张伟", "PER", 1, 3), ("北京", "LOC", 5, 7)]),
        ("王敏静李强都来了", [("王敏静", "PER", 0, 3), ("李强", "PER", 3, 5)]),
        ("\U0001f680 刘洋从呼和浩特去了上海", None),
        ("Masel lives in New London", [("Masel", "PER", 0, 5), ("New London", "LOC", 15, 25)]),
        ("\U0001f33b please ask Kadra again", [("Kadra", "PER", 13, 18)]),
        ("the train to Oslo was late", [("Oslo", "LOC", 13, 17)]),
    ],
)
def test_ner(serve: Serve, text: str, expected: Any) -> None:
    entities = result(serve("ner").predict("ner", text))["entities"]
    if expected is None:
        expected = [("刘洋", "PER", 2, 4), ("呼和浩特", "LOC", 5, 9), ("上海", "LOC", 11, 13)]
    found = [(one["text"], one["type"], one["start"], one["end"]) for one in entities]
    assert found == expected
    assert all(text[one["start"] : one["end"]] == one["text"] for one in entities)
    assert all(one["score"] > 0.5 for one in entities)


@pytest.mark.parametrize(
    ("sentences", "names"),
    [
        (
            ["张伟住在北京。", "王敏静李强都来了", "今天去哈尔滨的火车晚点"],
            ["张伟", "北京", "王敏静", "李强", "哈尔滨"],
        ),
        (
            ["the train to Oslo was late ", "please ask Kadra again ", "Masel lives in Madrid "],
            ["Oslo", "Kadra", "Masel", "Madrid"],
        ),
    ],
)
def test_entities_of_a_text_of_many_windows(
    serve: Serve, sentences: list[str], names: list[str]
) -> None:
    draw = random.Random(1)
    text = "".join(draw.choice(sentences) for _sentence in range(60))
    found = result(serve("ner", 32).predict("ner", text))
    assert found["tokens"] > 10 * 32
    assert found["truncated"] is False
    expected = sorted((match.start(), name) for name in names for match in re.finditer(name, text))
    assert [(one["start"], one["text"]) for one in found["entities"]] == expected


@pytest.mark.parametrize(
    ("context", "question", "answer", "start"),
    [
        ("Anna sings. Bob swims. Clara reads.", "who swims?", "Bob", 12),
        ("\U0001f600 小明跑。小红跳。", "谁跳？", "小红", 6),
        ("小刚唱。小丽笑。小华哭。", "谁唱？", "小刚", 0),
    ],
)
def test_qa(serve: Serve, context: str, question: str, answer: str, start: int) -> None:
    found = result(serve("qa").predict("qa", context, question=question))
    assert (found["answer"], found["start"]) == (answer, start)
    assert context[found["start"] : found["end"]] == answer
    assert found["score"] > 0.5


def test_a_question_without_an_answer_scores_low(serve: Serve) -> None:
    found = result(serve("qa").predict("qa", "Anna sings. Bob swims.", question="who cooks?"))
    assert found["score"] < 0.1


@pytest.mark.parametrize("place", [0, 41, 76])
def test_an_answer_is_found_anywhere_in_a_long_text(serve: Serve, place: int) -> None:
    others = (
        "Anna sings. Clara reads. David runs. Emma paints. Frank cooks. Grace sleeps. Henry dances."
    )
    parts = others.replace(". ", ".|").split("|") * 11
    parts[place] = "Bob swims."
    context = " ".join(parts)
    found = result(serve("qa", 24).predict("qa", context, question="who swims?"))
    assert (found["answer"], found["start"]) == ("Bob", context.index("Bob"))
    assert found["score"] > 0.5
    assert found["tokens"] > 10 * 24
    assert found["truncated"] is False


def test_rerank(serve: Serve) -> None:
    documents = ["some news of the soup", "大风 的 消息", "team news football goal", "ticket week"]
    service = serve("rerank")
    rows = service.rerank("football", documents, return_documents=True).json["results"]
    assert rows[0]["document"]["text"] == "team news football goal"
    assert rows[0]["relevance_score"] > 0.9
    assert all(row["relevance_score"] < 0.1 for row in rows[1:])
    raw = service.rerank("football", documents, score="logit").json["results"]
    assert [row["index"] for row in raw] == [row["index"] for row in rows]
    logits = np.array([row["relevance_score"] for row in raw])
    probabilities = [row["relevance_score"] for row in rows]
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), probabilities, atol=1e-6)


def examples(name: str, count: int) -> list[tiny_data.Example]:
    return list(tiny_data.examples(tiny_models.RECIPES[name].draw, UNSEEN, count))


def test_documents_of_many_lengths_score_as_each_alone(serve: Serve) -> None:
    documents = [
        str(one.pair) * (1 + index % 5) for index, one in enumerate(examples("rerank", 40))
    ]
    service = serve("rerank")

    def scores(some: list[str]) -> list[float]:
        rows = service.rerank("足球 rain", some, score="logit").json["results"]
        return [row["relevance_score"] for row in sorted(rows, key=lambda row: row["index"])]

    together = scores(documents)
    alone = [scores([document])[0] for document in documents]
    np.testing.assert_allclose(together, alone, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "task_type"), [("sentiment", "sentiment"), ("ner", "ner"), ("qa", "qa")]
)
def test_requests_at_once_answer_as_each_alone(serve: Serve, name: str, task_type: str) -> None:
    service = serve(name)

    def ask(example: tiny_data.Example) -> dict[str, Any]:
        if example.pair is None:
            return result(service.predict(task_type, example.text))
        return result(service.predict(task_type, example.pair, question=example.text))

    some = examples(name, 48)
    alone = [ask(example) for example in some]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(ask, some))
    for one, other in zip(alone, together, strict=True):
        assert_same(one, other)


def assert_same(one: Any, other: Any) -> None:
    """Equal, but for the rounding of numbers."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert_same(value, other[key])
    elif isinstance(one, list):
        for left, right in zip(one, other, strict=True):
            assert_same(left, right)
    elif isinstance(one, float):
        assert one == pytest.approx(other, abs=1e-5)
    else:
        assert one == other


@pytest.mark.parametrize("name", ["sentiment", "topic"])
def test_labels_are_those_of_transformers(serve: Serve, name: str) -> None:
    from transformers import pipeline

    service = serve(name)
    classify = pipeline("text-classification", str(service.settings.model.path), top_k=None)
    for example in examples(name, 50):
        ours = result(service.predict("classification", example.text))["labels"]
        (theirs,) = classify([example.text])
        assert [row["label"] for row in ours] == [row["label"] for row in theirs]
        for one, other in zip(ours, theirs, strict=True):
            assert one["score"] == pytest.approx(other["score"], abs=1e-5)


def test_entities_are_those_of_transformers(serve: Serve) -> None:
    from transformers import pipeline

    service = serve("ner")
    find = pipeline(
        "token-classification", str(service.settings.model.path), aggregation_strategy="first"
    )
    some = examples("ner", 100)
    assert sum(len(example.target) for example in some) > 100
    for example in some:
        ours = result(service.predict("ner", example.text))["entities"]
        theirs = find(example.text)
        assert [(one["type"], one["start"], one["end"]) for one in ours] == [
            (one["entity_group"], one["start"], one["end"]) for one in theirs
        ]
