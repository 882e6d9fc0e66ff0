# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Texts of the pages in both languages, from `texts/*.toml`."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from ..errors import TABLE

LANGUAGES = ("en", "zh")
DEFAULT = LANGUAGES[0]
_FOLDER = Path(__file__).parent / "texts"

Texts = dict[str, Any]


@functools.cache
def read(language: str) -> Texts:
    """Return all texts of a language; English meanings of errors come from their own table."""
    texts: Texts = {"errors": {row.code: row.__doc__ for row in TABLE}}
    for file in _FOLDER.glob(f"{language}.*"):
        texts |= tomllib.loads(file.read_text(encoding="utf-8"))
    return texts


def of_playground() -> dict[str, Texts]:
    """What the playground shows, by language: its own texts, and how to mend each error."""
    return {
        language: {**texts["playground"], "remedies": texts["remedies"]}
        for language, texts in ((name, read(name)) for name in LANGUAGES)
    }


def mark_code(text: str) -> Markup:
    """Escape a text and show what stands between backticks as code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part)
        for index, part in enumerate(parts)
    )
