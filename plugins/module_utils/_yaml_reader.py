# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the YAML of a lock: block mappings and lists of scalars, as ``_yaml`` writes them.

Hosts need no YAML library for it. What a person may do to such a file is read as well: comments,
blank lines, single quotes, lists that are not indented. Everything else of YAML is refused.
"""

from __future__ import annotations

import json
import re
from typing import Any

_KEY = re.compile(r"""("(?:[^"\\]|\\.)*"|[A-Za-z_][\w./-]*):(?:\s+(.*))?""")
_COMMENT = re.compile(r"\s+#.*")
_NUMBER = re.compile(r"[-+]?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]\d+)?")
_WORDS = {"null": None, "~": None, "true": True, "false": False}
_AMBIGUOUS = {"yes", "no", "on", "off", "y", "n"}
_PLAIN = re.compile(r"[A-Za-z0-9_./+-][\w./+-]*")


def load(text: str) -> Any:
    """Return the value of ``text``. Raises ``ValueError`` that names the line."""
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip(" ")
        if content and not content.startswith("#") and line != "---":
            lines.append(_Line(number, len(line) - len(line.lstrip(" ")), content))
    if not lines:
        return None
    reader = _Reader(lines)
    value = reader.block()
    reader.end()
    return value


class _Line:
    def __init__(self, number: int, indent: int, content: str) -> None:
        self.number, self.indent, self.content = number, indent, content

    @property
    def is_item(self) -> bool:
        return self.content == "-" or self.content.startswith("- ")


class _Reader:
    """Walk over the lines; each method leaves the position behind what it has read."""

    def __init__(self, lines: list[_Line]) -> None:
        self._lines = lines
        self._at = 0

    def block(self) -> Any:
        first = self._lines[self._at]
        return self._list(first.indent) if first.is_item else self._mapping(first.indent)

    def end(self) -> None:
        if self._at < len(self._lines):
            raise _error(self._lines[self._at], "is indented otherwise than what it belongs to")

    def _next(self, indent: int) -> _Line | None:
        """Return the next line if it has this indent."""
        line = self._lines[self._at] if self._at < len(self._lines) else None
        return line if line is not None and line.indent == indent else None

    def _list(self, indent: int) -> list[Any]:
        items = []
        line = self._next(indent)
        while line is not None and line.is_item:
            rest = line.content[1:].strip()
            if _KEY.fullmatch(rest):
                # The item is a mapping that begins on this line, behind the dash.
                line.indent += len(line.content) - len(rest)
                line.content = rest
                items.append(self._mapping(line.indent))
            else:
                self._at += 1
                items.append(_scalar(line, rest))
            line = self._next(indent)
        return items

    def _mapping(self, indent: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        line = self._next(indent)
        while line is not None and not line.is_item:
            match = _KEY.fullmatch(line.content)
            if match is None:
                raise _error(line, "is no 'key: value'")
            key = json.loads(match[1]) if match[1].startswith('"') else match[1]
            if key in found:
                raise _error(line, f"has the key '{key}' a second time")
            self._at += 1
            rest = _COMMENT.sub("", " " + (match[2] or "")).strip() if match[2] else ""
            quoted = (match[2] or "")[:1] in ("'", '"')
            found[key] = _scalar(line, match[2]) if quoted or rest else self._inner(indent)
            line = self._next(indent)
        return found

    def _inner(self, indent: int) -> Any:
        """Return the block below a key, or none if there is none."""
        if self._at == len(self._lines):
            return None
        line = self._lines[self._at]
        deeper = line.indent > indent or (line.indent == indent and line.is_item)
        return self.block() if deeper else None


def _scalar(line: _Line, text: str) -> Any:
    if text.startswith('"'):
        try:
            value, end = json.JSONDecoder(strict=False).raw_decode(text)
        except ValueError as error:
            raise _error(
                line, f"has a text that is not closed or escaped rightly ({error})"
            ) from error
        if _COMMENT.sub("", text[end:]).strip():
            raise _error(line, "has something behind the closing quote")
        return value
    if text.startswith("'"):
        match = re.fullmatch(r"'((?:[^']|'')*)'(\s+#.*)?", text)
        if match is None:
            raise _error(line, "has a text that is not closed")
        return match[1].replace("''", "'")
    text = _COMMENT.sub("", text).strip()
    if text in ("{}", "[]"):
        return json.loads(text)
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    number = _NUMBER.fullmatch(text)
    if number is not None:
        return float(text) if number[1] or number[2] else int(text)
    if text.lower() in _AMBIGUOUS or not _PLAIN.fullmatch(text):
        raise _error(line, f"has the value {text!r}; put texts in quotes")
    return text


def _error(line: _Line, what: str) -> ValueError:
    return ValueError(f"line {line.number} {what}")
