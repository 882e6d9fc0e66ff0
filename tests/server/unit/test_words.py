# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Where words begin and end."""

from __future__ import annotations

import pytest

from model_server.tasks.words import joined, trim, widen


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("word", 2, True),
        ("word", 0, False),
        ("word", 4, False),
        ("two words", 3, False),
        ("two words", 4, False),
        ("it's", 2, False),
        ("3km", 1, True),
        ("张伟", 1, False),
        ("在Paris", 1, False),
        ("Paris的", 5, False),
        ("e\u0301a", 1, True),
        ("e\u0301a", 2, True),
        ("a\U0001f600", 1, False),
    ],
)
def test_signs_of_one_word_are_joined(text: str, position: int, expected: bool) -> None:
    assert joined(text, position) is expected


@pytest.mark.parametrize(
    ("part", "expected"), [((0, 4), (1, 3)), ((1, 3), (1, 3)), ((3, 4), (4, 4)), ((2, 2), (2, 2))]
)
def test_white_space_is_no_part(part: tuple[int, int], expected: tuple[int, int]) -> None:
    assert trim(" ab ", *part) == expected


def test_a_part_grows_to_whole_words() -> None:
    text = "see Paris, now"
    assert text[slice(*widen(text, 6, 8))] == "Paris"
    assert text[slice(*widen(text, 5, 12))] == "Paris, now"
    assert widen("张伟来了", 0, 2) == (0, 2)
