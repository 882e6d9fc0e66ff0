# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Stop texts, however the answer is cut into pieces."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from model_server.engines.stop_texts import StopTexts

TEXTS = st.text("ab<|你😀", max_size=40)
STOPS = st.lists(st.text("ab<|你😀", min_size=1, max_size=4), max_size=3)


def pass_on(pieces: list[str], stops: list[str]) -> tuple[list[str], bool]:
    filter_ = StopTexts(stops)
    passed = [filter_.feed(piece) for piece in pieces]
    return [*passed, filter_.rest()], filter_.stopped


def expected(text: str, stops: list[str]) -> tuple[str, bool]:
    """Read character by character: the stop text that is complete first ends the text."""
    for end in range(1, len(text) + 1):
        whole = [stop for stop in stops if text[:end].endswith(stop)]
        if whole:
            return text[: end - max(map(len, whole))], True
    return text, False


@given(TEXTS, STOPS, st.lists(st.integers(0, 40), max_size=8))
def test_the_pieces_do_not_matter(text: str, stops: list[str], cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in pairwise(places)]
    passed, stopped = pass_on(pieces, stops)
    assert ("".join(passed), stopped) == expected(text, stops)


@given(TEXTS, STOPS)
def test_nothing_is_passed_on_that_a_stop_text_may_take_back(text: str, stops: list[str]) -> None:
    shown = ""
    final = expected(text, stops)[0]
    filter_ = StopTexts(stops)
    for character in text:
        shown += filter_.feed(character)
        assert final.startswith(shown)


def test_text_without_a_beginning_of_a_stop_text_is_not_held_back() -> None:
    filter_ = StopTexts(["END"])
    assert [filter_.feed(piece) for piece in ("one ", "E", "N", "x", "EN", "D more")] == [
        *("one ", "", "", "ENx", "", "")
    ]
    assert filter_.stopped
