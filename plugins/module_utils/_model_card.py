# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The YAML at the top of a model card, as far as hubs read it: texts and lists of texts.

Hosts need no YAML library for it. The format: https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

import re

_ENTRY = re.compile(r"([A-Za-z_][\w-]*):(?:\s+(.*))?")
_ITEM = re.compile(r"\s*-\s+(.*)")


def front_matter(text: str) -> dict[str, list[str]]:
    """Return the values of each top-level key; nested mappings are left out.

    A text is a list of one. Without front matter the result is empty.
    """
    lines = text.lstrip("\ufeff").splitlines()
    if not lines or lines[0].rstrip() != "---":
        return {}
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines[1:]:
        if line.rstrip() == "---":
            return {key: values for key, values in found.items() if values}
        entry, item = _ENTRY.fullmatch(line.rstrip()), _ITEM.fullmatch(line.rstrip())
        if entry:
            current = found.setdefault(entry[1], [])
            value = (entry[2] or "").strip()
            inline = value[1:-1].split(",") if value.startswith("[") else [value]
            current += [_plain(part) for part in inline if _plain(part)]
        elif item and _plain(item[1]) and ": " not in item[1]:
            current.append(_plain(item[1]))
    return {}


def _plain(value: str) -> str:
    """Return a scalar without quotes and comment; block markers are no values."""
    value = value.strip()
    if value[:1] in ("'", '"') and value.endswith(value[0]) and len(value) > 1:
        return value[1:-1]
    value = value.partition(" #")[0].strip()
    return "" if value in ("|", ">", "|-", ">-", "null", "~") else value
