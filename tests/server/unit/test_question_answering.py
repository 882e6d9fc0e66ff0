# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The best span, with logits set by hand or by the fake engine's words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fakes import FakeEngine
from model_server.engines.base import Purpose, TokenizedText
from model_server.errors import InvalidRequest
from model_server.settings import ModelSettings
from model_server.tasks.question_answering import (
    MAX_ANSWER_TOKENS,
    Question,
    QuestionAnsweringTask,
)


@pytest.fixture
def task(snapshot: Path) -> QuestionAnsweringTask:
    engine = FakeEngine()
    engine.purpose = Purpose.SPAN
    model = ModelSettings(path=snapshot, source="test", id="some/model", revision="1")
    return QuestionAnsweringTask(engine, model, 16)


def signs(context: str) -> TokenizedText:
    """A question of two tokens, and a token for each sign of the context."""
    offsets = [(0, 0), (0, 1), (1, 2), (0, 0), *((i, i + 1) for i in range(len(context))), (0, 0)]
    segments = [None, 0, 0, None, *(1 for _sign in context), None]
    return TokenizedText(range(len(offsets)), False, (), offsets, segments)


def logits(length: int, **points: tuple[float, float]) -> np.ndarray:
    row = np.zeros((length + 5, 2), dtype=np.float32)
    for place, values in points.items():
        row[int(place[1:])] = values
    return row


def test_the_score_is_the_product_of_both_probabilities(task: QuestionAnsweringTask) -> None:
    context = "甲乙丙"
    row = logits(3, t4=(2, 0), t5=(0, 3))
    result = task.finish(Question("？？", context), [signs(context)], [row])
    assert (result.answer, result.start, result.end) == ("甲乙", 0, 2)
    # Three tokens of the context, and the first one of all.
    start, end = np.exp(2) / (np.exp(2) + 3), np.exp(3) / (np.exp(3) + 3)
    assert result.score == pytest.approx(start * end)


def test_an_answer_never_ends_before_it_starts(task: QuestionAnsweringTask) -> None:
    row = logits(3, t4=(0, 9), t6=(9, 0))
    result = task.finish(Question("？？", "甲乙丙"), [signs("甲乙丙")], [row])
    assert result.start < result.end


def test_the_question_is_no_answer_and_the_first_token_only_lowers_the_score(
    task: QuestionAnsweringTask,
) -> None:
    row = logits(3, t0=(9, 9), t1=(20, 20), t5=(1, 1))
    result = task.finish(Question("？？", "甲乙丙"), [signs("甲乙丙")], [row])
    assert result.answer == "乙"
    assert result.score < 0.001


def test_an_answer_is_not_endless(task: QuestionAnsweringTask) -> None:
    context = "字" * 60
    row = logits(60, t4=(9, 0), t63=(0, 9))
    result = task.finish(Question("？？", context), [signs(context)], [row])
    assert result.end - result.start <= MAX_ANSWER_TOKENS


def test_an_answer_is_made_of_whole_words(task: QuestionAnsweringTask) -> None:
    context = "in Paris."
    row = logits(9, t8=(9, 0), t9=(0, 9))
    assert task.finish(Question("？？", context), [signs(context)], [row]).answer == "Paris"


@pytest.mark.parametrize("before", [0, 1, 5, 9, 40])
def test_an_answer_is_found_in_any_window(task: QuestionAnsweringTask, before: int) -> None:
    context = "x " * before + "from here until" + " y" * 20
    question = Question("from where", context)
    items = task.prepare(question)
    assert len(items) > 1
    result = task.finish(question, items, task.compute(items))
    assert (result.answer, result.start) == ("from here until", 2 * before)
    assert result.truncated == 0


def test_a_question_that_leaves_no_room_is_named(task: QuestionAnsweringTask) -> None:
    with pytest.raises(InvalidRequest, match="question is too long") as caught:
        task.prepare(Question("why " * 9, "because"))
    assert caught.value.param == "question"


def test_a_context_without_words_has_no_answer(task: QuestionAnsweringTask) -> None:
    question = Question("who?", "   ")
    items = task.prepare(question)
    result = task.finish(question, items, task.compute(items))
    assert (result.answer, result.start, result.end, result.score) == ("", 0, 0, 0.0)
