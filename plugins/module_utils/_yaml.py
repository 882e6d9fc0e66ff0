# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a lock as YAML: hosts need no YAML library for it, and the same lock is the same text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
# Words that YAML 1.1 reads as something else than text.
_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
_HEX = re.compile(r"[0-9a-f]{7,}")


def dump(data: Mapping[str, Any]) -> str:
    """Return ``data`` (mappings, lists, texts, numbers, truth values, none) as a YAML document."""
    return "---\n" + "\n".join(_lines(data)) + "\n"


def _lines(value: Any) -> list[str]:
    """Return the block form of a mapping or list that is not empty, not indented."""
    lines = []
    if isinstance(value, Mapping):
        for key, item in value.items():
            lines += _entry(f"{_scalar(str(key))}:", item, indent="  ")
    else:
        for item in value:
            if _is_block(item):
                first, *others = _lines(item)
                lines += [f"- {first}", *(f"  {line}" for line in others)]
            else:
                lines.append(f"- {_scalar(item)}")
    return lines


def _entry(head: str, item: Any, indent: str) -> list[str]:
    if not _is_block(item):
        return [f"{head} {_scalar(item)}"]
    return [head, *(indent + line for line in _lines(item))]


def _is_block(value: Any) -> bool:
    return isinstance(value, (Mapping, list, tuple)) and bool(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        plain = (
            _PLAIN.fullmatch(value) and value.lower() not in _WORDS and not _HEX.fullmatch(value)
        )
        # A JSON text is a YAML text; U+0085, U+2028 and U+2029 would be line ends in YAML.
        quoted = json.dumps(value, ensure_ascii=False)
        return value if plain else re.sub("[\x7f-\x9f\u2028\u2029\ufeff]", _escape, quoted)
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, int):
        return str(value)
    return "{}" if isinstance(value, Mapping) else "[]"


def _float(value: float) -> str:
    """YAML 1.1 wants a point and a signed exponent: 1e-12 would be text, 1.0e-12 is a number."""
    text = repr(value)
    if text in ("inf", "-inf", "nan"):
        return text.replace("inf", ".inf").replace("nan", ".nan")
    digits, exponent, power = text.partition("e")
    return digits + ("" if "." in digits else ".0") + exponent + power


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"
