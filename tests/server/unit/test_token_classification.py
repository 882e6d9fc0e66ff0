# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Entities from labelled tokens, with labels set by hand on the fake engine's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from fakes import FakeEngine
from model_server.engines.base import TokenizedText
from model_server.settings import ModelSettings
from model_server.tasks.token_classification import FoundEntity, TokenClassificationTask


def make(labels: Sequence[str], snapshot: Path, max_tokens: int = 16) -> TokenClassificationTask:
    model = ModelSettings(path=snapshot, source="test", id="some/model", revision="1")
    return TokenClassificationTask(FakeEngine(labels=tuple(labels)), model, max_tokens)


def find(
    snapshot: Path, text: str, tokens: Sequence[tuple[int, int, str]], labels: Sequence[str]
) -> list[FoundEntity]:
    """Entities when each token (start, end, label) is sure of its label."""
    task = make(labels, snapshot)
    item = TokenizedText(
        range(len(tokens) + 2),
        False,
        (),
        [(0, 0), *((start, end) for start, end, _label in tokens), (0, 0)],
        [None, *(0 for _token in tokens), None],
    )
    row = np.zeros((len(tokens) + 2, len(labels)), dtype=np.float32)
    for place, (_start, _end, label) in enumerate(tokens, start=1):
        row[place, labels.index(label)] = 20
    return task.finish(text, [item], [row]).entities


def signs(labels: str) -> list[tuple[int, int, str]]:
    return [(place, place + 1, label) for place, label in enumerate(labels.split())]


def plain(entities: Sequence[FoundEntity]) -> list[tuple[str, str, int, int]]:
    return [(entity.text, entity.type, entity.start, entity.end) for entity in entities]


BIO = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
BIOES = [*BIO, "E-PER", "S-PER", "E-LOC", "S-LOC"]


@pytest.mark.parametrize(
    ("text", "labels", "scheme", "expected"),
    [
        ("张伟来了", "B-PER I-PER O O", BIO, [("张伟", "PER", 0, 2)]),
        (
            "张伟李娜",
            "B-PER I-PER B-PER I-PER",
            BIO,
            [("张伟", "PER", 0, 2), ("李娜", "PER", 2, 4)],
        ),
        ("在北京张", "O B-LOC I-LOC I-PER", BIO, [("北京", "LOC", 1, 3), ("张", "PER", 3, 4)]),
        ("伟来伟", "I-PER O I-PER", BIO, [("伟", "PER", 0, 1), ("伟", "PER", 2, 3)]),
        (
            "张伟王李娜",
            "B-PER E-PER S-PER B-PER E-PER",
            BIOES,
            [("张伟", "PER", 0, 2), ("王", "PER", 2, 3), ("李娜", "PER", 3, 5)],
        ),
        ("张伟娜", "B-PER E-PER I-PER", BIOES, [("张伟", "PER", 0, 2), ("娜", "PER", 2, 3)]),
        ("张伟来了", "name name O O", ["O", "name"], [("张伟", "name", 0, 2)]),
        ("张来伟", "name O name", ["O", "name"], [("张", "name", 0, 1), ("伟", "name", 2, 3)]),
        ("信", "E-mail", ["O", "E-mail", "phone"], [("信", "E-mail", 0, 1)]),
        ("都不是", "O O O", BIO, []),
    ],
)
def test_labels_of_every_scheme_become_entities(
    snapshot: Path,
    text: str,
    labels: str,
    scheme: list[str],
    expected: list[tuple[str, str, int, int]],
) -> None:
    assert plain(find(snapshot, text, signs(labels), scheme)) == expected


def test_pieces_of_a_word_follow_its_first(snapshot: Path) -> None:
    text = "ask Marasel Novak now"
    tokens = [(0, 3, "O"), (4, 6, "B-PER"), (6, 8, "O"), (8, 11, "B-LOC"), (12, 17, "I-PER")]
    found = find(snapshot, text, [*tokens, (18, 21, "O")], BIO)
    assert plain(found) == [("Marasel Novak", "PER", 4, 17)]


def test_white_space_that_a_tokenizer_counts_is_left_out(snapshot: Path) -> None:
    found = find(snapshot, "to New York", [(0, 2, "O"), (2, 6, "B-LOC"), (6, 11, "I-LOC")], BIO)
    assert plain(found) == [("New York", "LOC", 3, 11)]


def test_tokens_of_one_character_are_one_word(snapshot: Path) -> None:
    emoji = "\U0001f600张伟"
    tokens = [(0, 1, "O"), (0, 1, "O"), (0, 1, "B-PER"), (1, 2, "B-PER"), (2, 3, "I-PER")]
    assert plain(find(snapshot, emoji, tokens, BIO)) == [("张伟", "PER", 1, 3)]


def test_the_score_is_that_of_the_weakest_word(snapshot: Path) -> None:
    task = make(BIO, snapshot)
    item = TokenizedText(range(4), False, (), [(0, 0), (0, 1), (1, 2), (0, 0)], [None, 0, 0, None])
    row = np.zeros((4, 5), dtype=np.float32)
    row[1, 1], row[2, 2] = 5, 2
    (entity,) = task.finish("张伟", [item], [row]).entities
    assert entity.score == pytest.approx(np.exp(2) / (np.exp(2) + 4))


@pytest.mark.parametrize("before", range(30))
def test_an_entity_is_found_wherever_a_window_begins(snapshot: Path, before: int) -> None:
    task = make(BIO, snapshot, max_tokens=12)
    task._engine.load(snapshot, None, task.purpose)  # type: ignore[arg-type]
    text = "x " * before + "B-PER I-PER" + " y" * 20
    items = task.prepare(text)
    assert len(items) > 1
    found = task.finish(text, items, task.compute(items))
    assert plain(found.entities) == [("B-PER I-PER", "PER", 2 * before, 2 * before + 11)]
    assert found.truncated == 0


def test_types_are_told_once_each(snapshot: Path) -> None:
    assert make(BIOES, snapshot).describe() == {"max_tokens": 16, "labels": ["PER", "LOC"]}
