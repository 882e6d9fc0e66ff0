# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that holds a lock: alone, or by name in the variable ``model_locks``.

Whatever else stands in the file stays as it is, byte for byte.
"""

from __future__ import annotations

import re

from ._errors import ModelError
from ._manifest import Manifest
from ._yaml import dump
from ._yaml_reader import load

VARIABLE = "model_locks"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


class LockFile:
    """The text of one file; ``name`` is the lock's name in the variable, empty for a lock alone.

    Raises ``ModelError``: ``invalid_option`` for a name that is none, ``invalid_lock`` for a file
    that cannot be read.
    """

    def __init__(self, path: str, text: str, name: str = "") -> None:
        if name and not _NAME.fullmatch(name):
            raise ModelError(
                f"variable is '{name}'; a lock's name has letters, digits and _ . - only.",
                "invalid_option",
            )
        self._path, self._name = path, name
        self._lines = text.splitlines(keepends=True)

    def lock(self) -> Manifest | None:
        """Return the lock that the file holds now."""
        text = "".join(self._lines)
        if self._name:
            start, stop, _indent = self._entry()
            text = "".join(self._lines[start:stop])
        try:
            data = load(text)
        except ValueError as error:
            raise self._unreadable(f"{error}") from error
        if self._name and data:
            (data,) = data.values()
        return None if data is None else Manifest.from_dict(data, f"lock in {self._path}")

    def text(self, lock: Manifest) -> str:
        """Return the text of the file with ``lock`` in it."""
        new = dump(lock.to_dict())
        if not self._name:
            return _keep_comments(self._lines, new)
        start, stop, indent = self._entry()
        body = new.splitlines(keepends=True)[1:]
        entry = [f"{indent}{self._name}:\n", *(f"{indent}  {line}" for line in body)]
        head, tail = self._lines[:start], self._lines[stop:]
        if not self._lines:
            head = ["---\n"]
        if self._variable() is None:
            entry.insert(0, f"{VARIABLE}:\n")
        if head and not head[-1].endswith("\n"):
            head[-1] += "\n"
        return "".join(head + entry + tail)

    def _variable(self) -> int | None:
        """Return the number of the variable's line."""
        for number, line in enumerate(self._lines):
            if line.startswith(f"{VARIABLE}:"):
                if not re.fullmatch(rf"{VARIABLE}:\s*(#.*)?", line.rstrip()):
                    raise self._unreadable(f"line {number + 1} must be '{VARIABLE}:' alone")
                return number
        return None

    def _entry(self) -> tuple[int, int, str]:
        """Return the lines from and to which the entry stands, or belongs, and its indent."""
        begin = self._variable()
        if begin is None:
            return len(self._lines), len(self._lines), "  "
        names, end, indent = self._names(begin)
        for index, (number, name) in enumerate(names):
            if name == self._name:
                last = index + 1 == len(names)
                return number, end if last else self._above(names[index + 1][0]), indent
        later = (self._above(number) for number, name in names if name > self._name)
        place = next(later, end)
        return place, place, indent

    def _names(self, begin: int) -> tuple[list[tuple[int, str]], int, str]:
        """Return the names below the variable with their lines, where they end, their indent."""
        names: list[tuple[int, str]] = []
        indent, end = "", begin + 1
        for number in range(begin + 1, len(self._lines)):
            line = self._lines[number]
            content = line.strip()
            if not content or content.startswith("#"):
                continue
            depth = line[: len(line) - len(line.lstrip(" "))]
            if not depth:
                break
            indent, end = indent or depth, number + 1
            if depth == indent:
                name = re.fullmatch(r"""["']?([^"':]+)["']?:\s*(#.*)?""", content)
                if name is None:
                    raise self._unreadable(f"line {number + 1} must be a name and ':' alone")
                names.append((number, name[1]))
        return names, end, indent or "  "

    def _above(self, number: int) -> int:
        """Return where the comments right above an entry begin, which belong to it."""
        while self._lines[number - 1].strip().startswith("#"):
            number -= 1
        return number

    def _unreadable(self, what: str) -> ModelError:
        return ModelError(
            f"{self._path} is not a lock file that can be updated: {what}. Mend it, or remove it "
            "and lock again.",
            "invalid_lock",
        )


def _keep_comments(old: list[str], new: str) -> str:
    """Return ``new`` with the comments that stand at the top of the ``old`` lines."""
    head = []
    for line in old:
        if not line.startswith(("#", "---")):
            break
        if line.startswith("#"):
            head.append(line.rstrip("\n") + "\n")
    return new.replace("---\n", "---\n" + "".join(head), 1)
