# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Markers of a chat template, such as `<|im_start|>`, in what a client wrote.

A template joins messages to one text, and the tokenizer reads every marker in it. Without this, a
message could end its own turn and begin one of the system.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .base import Message

# Width 0: the text reads as before, but is no marker any more.
_SEPARATOR = "\u200b"


class Markers:
    """The markers of one tokenizer."""

    def __init__(self, markers: Iterable[str]) -> None:
        # A marker of one character could not be divided, and would be ordinary text anyway.
        known = sorted({marker for marker in markers if len(marker) > 1}, key=len, reverse=True)
        alternatives = "|".join(map(re.escape, known))
        # The look-ahead finds markers that overlap as well.
        self._begins = re.compile(f"(?=(?:{alternatives}))(.)", re.DOTALL) if known else None

    def divide(self, text: str) -> str:
        """Put a separator of width 0 after the first character of each marker."""
        if self._begins is None:
            return text
        return self._begins.sub(rf"\1{_SEPARATOR}", text)

    def conversation(self, messages: Sequence[Message]) -> list[dict[str, str]]:
        """The messages as a template takes them."""
        return [
            {"role": message.role, "content": self.divide(message.content)} for message in messages
        ]
