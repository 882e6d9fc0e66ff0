# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the kernel: a file that the next boot reads, and what can be set at once.

In a container /proc/sys is often read-only. The file is written all the same, and what could not be
set is returned, so that nobody takes it for granted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._errors import ModelError
from ._files import write_atomic

_NAME = r"[a-z0-9_]+([./][A-Za-z0-9_:-]+)+"
_HEADER = "# Made by modelops.serving; the next run undoes changes by hand.\n"


@dataclass(frozen=True)
class Setting:
    """One setting. With ``least``, a higher value that the host has already stays."""

    name: str
    value: str
    reason: str
    least: bool = False

    def wanted(self, live: str) -> str:
        """Return the value that shall be in force."""
        higher = self.least and live.isdigit() and int(live) > int(self.value)
        return live if higher else self.value


@dataclass(frozen=True)
class Outcome:
    """What ``ensure`` did, or would do in check mode.

    ``before`` and ``after`` are the texts of the file, each with what is or was in force.
    """

    written: bool
    applied: list[str]
    unapplied: list[dict[str, str]]
    missing: list[str]
    before: str
    after: str


def merged(settings: Mapping[str, Any], overrides: Mapping[str, Any]) -> list[Setting]:
    """Return ``settings`` (value, reason, least by name) under ``overrides`` (a value by name).

    None as a value leaves the setting out. Raises ``ModelError`` (invalid_option).
    """
    found = {
        name: Setting(name, str(item["value"]), str(item["reason"]), bool(item.get("least")))
        for name, item in settings.items()
    }
    for name, value in overrides.items():
        where = f"limits_sysctl.{name} is {value!r}"
        if not re.fullmatch(_NAME, str(name)):
            raise ModelError(
                f"{where}: name a setting as sysctl(8) does, such as vm.swappiness.",
                "invalid_option",
            )
        if value is None:
            found.pop(name, None)
        elif isinstance(value, bool) or not re.fullmatch(r"[^\n#]+", str(value)):
            raise ModelError(f"{where}: give a number or one line of text.", "invalid_option")
        else:
            found[name] = Setting(str(name), _plain(str(value)), "Set as limits_sysctl.")
    return list(found.values())


def ensure(path: str, settings: list[Setting], check: bool, root: str = "/proc/sys") -> Outcome:
    """Have ``settings`` in the file ``path``, and in force where the host lets them be set."""
    lines, applied, unapplied, missing = [_HEADER], [], [], []
    was, becomes = [], []
    for setting in settings:
        knob = os.path.join(root, _path(setting.name))
        live = _read(knob)
        if live is None:
            missing.append(setting.name)
            continue
        wanted = setting.wanted(live)
        lines.append(f"# {setting.reason}\n{setting.name} = {wanted}\n")
        if live == wanted:
            continue
        why = _set(knob, wanted, check)
        if why:
            unapplied.append({"name": setting.name, "value": wanted, "live": live, "why": why})
        else:
            applied.append(setting.name)
            was.append(f"in force: {setting.name} = {live}\n")
            becomes.append(f"in force: {setting.name} = {wanted}\n")
    content = "\n".join(lines)
    old = _text(path) or ""
    written = old != content
    if written and not check:
        write_atomic(path, content)
    before, after = old + "".join(was), content + "".join(becomes)
    return Outcome(written, applied, unapplied, missing, before, after)


def _path(name: str) -> str:
    """Return where a setting stands; with a slash first, dots are part of a name (sysctl.d(5))."""
    return name if re.match(r"[^.]*/", name) else name.replace(".", "/")


def _set(knob: str, value: str, check: bool) -> str:
    """Set a value; return why not, empty where it was or would be set."""
    if not os.access(knob, os.W_OK):
        return "it is read-only here"
    if check:
        return ""
    try:
        with open(knob, "w", encoding="ascii") as stream:
            stream.write(f"{value}\n")
    except (OSError, ValueError) as error:
        return f"the kernel refused it: {error}"
    return "" if _read(knob) == value else "the kernel took another value"


def _read(knob: str) -> str | None:
    text = _text(knob)
    return None if text is None else _plain(text)


def _plain(text: str) -> str:
    """Return the words of a value with one blank between them, as the kernel's tabs vary."""
    return " ".join(text.split())


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
