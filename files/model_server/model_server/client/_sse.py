# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Server-Sent Events from bytes, as the HTML standard parses them.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True)
class Event:
    """One event; `id` and `retry` are of no use without reconnecting, which this never does."""

    data: str
    name: str = "message"


class EventTooLarge(ValueError):
    """An event is larger than the bound; the stream cannot be read on."""


class EventParser:
    """Takes bytes cut anywhere, gives events as they become whole.

    `max_bytes` bounds one event, so that a broken server cannot fill the memory.
    """

    def __init__(self, max_bytes: int = 1024 * 1024) -> None:
        self._max_bytes = max_bytes
        self._rest = b""
        self._after_return = False
        self._at_start = True
        self._name = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield the events that this chunk completes; raise EventTooLarge."""
        for line in self._lines(chunk):
            if self._at_start:
                line = line.removeprefix(codecs.BOM_UTF8)
                self._at_start = False
            self._size += len(line)
            self._check(0)
            if line:
                self._take(line)
            else:
                if self._data:
                    yield Event("\n".join(self._data), self._name or "message")
                self._name, self._data, self._size = "", [], 0
        self._check(len(self._rest))

    def _lines(self, chunk: bytes) -> list[bytes]:
        # A line ends at its return already; the line feed after it may come with the next bytes.
        if self._after_return and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_return = False
        *lines, self._rest = _LINE_END.split(self._rest + chunk)
        if chunk.endswith(b"\r"):
            self._after_return = True
        return lines

    def _take(self, line: bytes) -> None:
        field, _colon, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value

    def _check(self, more: int) -> None:
        if self._size + more > self._max_bytes:
            raise EventTooLarge(f"an event of the stream has more than {self._max_bytes} bytes")
