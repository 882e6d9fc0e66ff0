# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels, scores and vectors as results, on the fake engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes import FakeEngine
from model_server.engines.base import EngineStartFailed, InvalidOutput
from model_server.errors import InvalidRequest
from model_server.settings import ModelSettings
from model_server.tasks.classification import ClassificationTask
from model_server.tasks.embedding import EmbeddingTask, cosine
from model_server.tasks.encoder import sigmoid, softmax
from model_server.tasks.rerank import RerankQuery, RerankTask


def model(snapshot: Path, **fields: str) -> ModelSettings:
    known = {"source": "test", "id": "some/model", "revision": "1", **fields}
    return ModelSettings(path=snapshot, **known)


def make(task: Any, snapshot: Path, labels: tuple[str, ...], max_tokens: int = 16) -> Any:
    engine = FakeEngine(labels=labels)
    engine.purpose = task.purpose
    return task(engine, model(snapshot), max_tokens)


def run(task: Any, request: Any) -> Any:
    items = task.prepare(request)
    return task.finish(request, items, task.compute(items))


def test_labels_are_ordered_by_their_probability(snapshot: Path) -> None:
    result = run(make(ClassificationTask, snapshot, ("a", "b", "c")), "b b a")
    names, scores = zip(*result.labels, strict=True)
    assert names == ("b", "a", "c")
    np.testing.assert_allclose(scores, np.exp([2, 1, 0]) / np.exp([2, 1, 0]).sum(), rtol=1e-6)
    assert (result.tokens, result.truncated) == (5, 0)


def test_labels_that_go_together_have_probabilities_of_their_own(snapshot: Path) -> None:
    (snapshot / "config.json").write_text(
        json.dumps({"problem_type": "multi_label_classification"})
    )
    result = run(make(ClassificationTask, snapshot, ("a", "b")), "a b")
    np.testing.assert_allclose([score for _label, score in result.labels], 1 / (1 + np.exp(-1)))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("negative", "positive"), ("classification", "sentiment")),
        (("NEG", "NEU", "POS"), ("classification", "sentiment")),
        (("负面", "正面"), ("classification", "sentiment")),
        (("消极", "积极", "中性"), ("classification", "sentiment")),
        (("sport", "positive"), ("classification",)),
        (("LABEL_0", "LABEL_1"), ("classification",)),
    ],
)
def test_a_model_that_only_knows_sentiments_offers_them(
    snapshot: Path, labels: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert make(ClassificationTask, snapshot, labels).predict_tasks == expected


def test_a_score_is_no_classification_and_labels_are_no_score(snapshot: Path) -> None:
    with pytest.raises(EngineStartFailed, match="Serve it for rerank"):
        make(ClassificationTask, snapshot, ("LABEL_0",))
    with pytest.raises(EngineStartFailed, match="tells 2 labels apart"):
        make(RerankTask, snapshot, ("no", "yes"))


def test_documents_are_scored_in_both_conventions(snapshot: Path) -> None:
    task = make(RerankTask, snapshot, ("good",))
    result = run(task, RerankQuery("q", ["bad", "good good", "good", "worse"]))
    assert result.logits == [0, 2, 1, 0]
    np.testing.assert_allclose(result.probabilities, sigmoid(np.array(result.logits)))
    assert result.order == [1, 2, 0, 3], "equal documents stay in their order"


def test_only_the_document_is_cut(snapshot: Path) -> None:
    task = make(RerankTask, snapshot, ("good",))
    result = run(task, RerankQuery("q q q", ["x " * 20 + "good", "good"]))
    assert result.truncated == 1
    assert result.tokens == 16 + 7
    with pytest.raises(InvalidRequest, match="query is too long") as caught:
        task.prepare(RerankQuery("q " * 13, ["d"]))
    assert caught.value.param == "query"
    assert run(task, RerankQuery("q " * 12, ["good d"])).logits == [1]


@pytest.mark.parametrize("text", ["nan", "nan a b"])
def test_numbers_that_are_not_finite_are_no_result(snapshot: Path, text: str) -> None:
    task = make(ClassificationTask, snapshot, ("a", "b"))
    with pytest.raises(InvalidOutput, match="not finite"):
        run(task, text)


def test_another_shape_is_no_result(snapshot: Path) -> None:
    task = make(ClassificationTask, snapshot, ("a", "b"))
    task._engine.labels = ("a", "b", "c")
    task._engine.encode = lambda batch: np.zeros((1, 2), dtype=np.float32)
    with pytest.raises(InvalidOutput, match=r"\(1, 2\), not \(1, 3\)"):
        run(task, "a")


def test_probabilities_are_right_at_both_ends() -> None:
    logits = np.array([-1000, -1, 0, 1, 1000], dtype=np.float32)
    np.testing.assert_allclose(sigmoid(logits), [0, 0.26894143, 0.5, 0.7310586, 1], rtol=1e-6)
    np.testing.assert_allclose(softmax(logits), [0, 0, 0, 0, 1])


def test_the_cosine_is_one_of_the_same_direction() -> None:
    left = np.array([3, 4], dtype=np.float32)
    assert cosine(left, left * 7) == pytest.approx(1)
    assert cosine(left, -left) == pytest.approx(-1)
    assert cosine(left, np.array([-4, 3], dtype=np.float32)) == pytest.approx(0)
    assert cosine(left, left * 0) == 0


def fingerprint(snapshot: Path, max_tokens: int = 16, **fields: str) -> str:
    task = EmbeddingTask(FakeEngine(), model(snapshot, **fields), max_tokens)
    return str(task.describe()["fingerprint"])


def test_a_fingerprint_names_what_makes_the_space(snapshot: Path) -> None:
    before = fingerprint(snapshot)
    assert before == fingerprint(snapshot, source="elsewhere")
    changed = {
        before,
        fingerprint(snapshot, id="other/model"),
        fingerprint(snapshot, revision="2"),
        fingerprint(snapshot, max_tokens=8),
    }
    (snapshot / "1_Pooling").mkdir()
    (snapshot / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')
    changed.add(fingerprint(snapshot))
    prompts = {"default_prompt_name": "q", "prompts": {"q": "query: "}}
    (snapshot / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    changed.add(fingerprint(snapshot))
    assert len(changed) == 6
    assert all(len(name) == 16 for name in changed)


def test_a_snapshot_without_a_limit_is_refused(
    snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fakes.POSITIONS", int(1e30))
    with pytest.raises(EngineStartFailed, match=r"set engine\.max_tokens"):
        EmbeddingTask(FakeEngine(), model(snapshot), None)
