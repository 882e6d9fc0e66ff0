# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The surface `/predict`: a task by its name, and one text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from apiflask import APIBlueprint
from flask import Response

from ..errors import InvalidRequest, TaskNotOffered
from ..runtime import Runtime
from ..tasks.classification import ClassificationResult
from ..tasks.embedding import EmbeddingResult, cosine
from ..tasks.question_answering import AnswerResult, Question
from ..tasks.token_classification import EntitiesResult
from ..types import PredictRequest, PredictResponse
from ._docs import client
from ._envelope import remember
from ._served import respond

_OPTIONAL_FIELDS = ("other_text", "question")


def _embedding(result: EmbeddingResult) -> dict[str, Any]:
    return {"embedding": result.vectors[0].tolist()}


def _similarity(result: EmbeddingResult) -> dict[str, Any]:
    return {"similarity": cosine(*result.vectors)}


def _classification(result: ClassificationResult) -> dict[str, Any]:
    labels = [{"label": label, "score": score} for label, score in result.labels]
    return {**labels[0], "labels": labels}


def _entities(result: EntitiesResult) -> dict[str, Any]:
    return {"entities": [asdict(entity) for entity in result.entities]}


def _answer(result: AnswerResult) -> dict[str, Any]:
    return {
        "answer": result.answer,
        "start": result.start,
        "end": result.end,
        "score": result.score,
    }


@dataclass(frozen=True)
class _Prediction:
    """How a `task_type` is put to the model's task, and how its result is told.

    `field` is the one beside `input_text` that it needs, and the only one that it takes.
    """

    ask: Callable[[list[str]], Any]
    tell: Callable[[Any], dict[str, Any]]
    field: str | None = None


_PREDICTIONS = {
    "embedding": _Prediction(list, _embedding),
    "similarity": _Prediction(list, _similarity, "other_text"),
    "classification": _Prediction(lambda texts: texts[0], _classification),
    "sentiment": _Prediction(lambda texts: texts[0], _classification),
    "ner": _Prediction(lambda texts: texts[0], _entities),
    "qa": _Prediction(lambda texts: Question(texts[1], texts[0]), _answer, "question"),
}


def build(runtime: Runtime) -> APIBlueprint:
    """Create the blueprint for one runtime."""
    blueprint = APIBlueprint("predict", __name__, tag="Predict")

    @blueprint.post("/predict")
    @blueprint.doc(
        **client(runtime.settings, "Run a task on one text", 400, 401, 404, 413, 415, 500, 503, 504)
    )
    @blueprint.input(PredictRequest, arg_name="body")
    @blueprint.output(PredictResponse)
    def predict(body: PredictRequest) -> Response:
        prediction = _choose(body.task_type, runtime.task.predict_tasks)
        _require_fields(body, prediction.field)
        texts = [body.input_text]
        if prediction.field is not None:
            texts.append(getattr(body, prediction.field))
        remember(texts)
        result, timing = runtime.run(prediction.ask(texts), len(texts))
        answer = {
            **prediction.tell(result),
            "tokens": result.tokens,
            "truncated": result.truncated > 0,
        }
        return respond({"result": answer}, result, timing, len(texts))

    return blueprint


def _choose(task_type: str, offered: tuple[str, ...]) -> _Prediction:
    if task_type not in offered:
        raise TaskNotOffered(
            f"This model offers {', '.join(offered) or 'nothing here'}, not {task_type!r}.",
            param="task_type",
            details={"offered": list(offered)},
        )
    return _PREDICTIONS[task_type]


def _require_fields(body: PredictRequest, needed: str | None) -> None:
    for field in _OPTIONAL_FIELDS:
        given = getattr(body, field) is not None
        if field == needed and not given:
            raise InvalidRequest(f"{field}: {body.task_type} needs it.", param=field)
        if field != needed and given:
            raise InvalidRequest(f"{field}: {body.task_type} does not take it.", param=field)
