# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Where words begin and end in a text, whatever the tokenizer did to it."""

from __future__ import annotations

import unicodedata


def joined(text: str, position: int) -> bool:
    """Whether the characters before and at a position belong to one word.

    Signs of scripts that write no spaces between words (Chinese, Japanese, also Korean syllables)
    stand for themselves.
    """
    if not 0 < position < len(text):
        return False
    return _in_word(text[position - 1]) and _in_word(text[position])


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Leave out white space at both ends; some tokenizers count it to the token."""
    part = text[start:end]
    first = start + len(part) - len(part.lstrip())
    return first, max(first, start + len(part.rstrip()))


def widen(text: str, start: int, end: int) -> tuple[int, int]:
    """Grow a part of a text until no word is cut."""
    while joined(text, start):
        start -= 1
    while joined(text, end):
        end += 1
    return start, end


def _in_word(character: str) -> bool:
    if unicodedata.east_asian_width(character) in "WF":
        return False
    return character.isalnum() or unicodedata.category(character).startswith("M")
