# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Stop texts in a stream: they may begin in one piece and end in another."""

from __future__ import annotations

from collections.abc import Sequence


class StopTexts:
    """Passes an answer on piece by piece, up to the stop text that is complete first.

    However the answer is cut into pieces, the same text is passed on.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.stopped = False

    def feed(self, piece: str) -> str:
        """Take a piece; return what can be no part of a stop text."""
        if self.stopped:
            return ""
        text = self._held + piece
        found = [(start + len(stop), start) for stop, start in self._places(text)]
        if found:
            self.stopped = True
            self._held = ""
            return text[: min(found)[1]]
        kept = len(text) - self._possible_beginning(text)
        self._held = text[kept:]
        return text[:kept]

    def rest(self) -> str:
        """Return what was held back, when the answer has ended."""
        held, self._held = self._held, ""
        return held

    def _places(self, text: str) -> list[tuple[str, int]]:
        places = [(stop, text.find(stop)) for stop in self._stops]
        return [(stop, start) for stop, start in places if start >= 0]

    def _possible_beginning(self, text: str) -> int:
        """Length of the longest end of the text with which a stop text begins."""
        longest = max(map(len, self._stops), default=1) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0
