# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Configuration of nginx, read as far as its grammar goes: statements and blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""\s+ | \#[^\n]*
    | (?P<word>
        "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*'
        | (?:\\.|\$\{\w+\}|[^\s;{}"'\\]) (?:\\.|\$\{\w+\}|[^\s;{}\\])*
      )
    | (?P<mark>[;{}])""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Statement:
    """One directive, with the names of the blocks that it stands in."""

    name: str
    arguments: tuple[str, ...]
    inside: tuple[str, ...]


def statements(text: str) -> list[Statement]:
    """Return the statements of a file; raise ``ValueError`` where nginx would not read it."""
    found: list[Statement] = []
    inside: list[str] = []
    words: list[str] = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ValueError(f"unreadable: {text[place : place + 60]!r}")
        place = match.end()
        if match["word"]:
            words.append(match["word"])
        elif match["mark"] == "}":
            if words or not inside:
                raise ValueError(f"'}}' after {words or 'nothing'}")
            inside.pop()
        elif match["mark"]:
            if not words:
                raise ValueError(f"'{match['mark']}' without a directive")
            found.append(Statement(words[0], tuple(words[1:]), tuple(inside)))
            if match["mark"] == "{":
                inside.append(words[0])
            words = []
    if inside or words:
        raise ValueError(f"the file ends within {inside or words}")
    return found
