# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The server's README tells every error and every setting as the code has them."""

from __future__ import annotations

import json
import re
from pathlib import Path

from model_server.errors import TABLE
from model_server.settings import Section, Settings

README = Path(__file__).resolve().parents[3] / "files" / "model_server" / "README.md"
LINES = README.read_text().splitlines()


def test_every_error_is_documented() -> None:
    rows = [f"| {row.status} | `{row.code}` | `{row.type}` | {row.__doc__} |" for row in TABLE]
    assert [line for line in LINES if line.startswith(("| 4", "| 5"))] == rows


def test_every_setting_is_documented() -> None:
    rows = []
    for name, section in Settings.model_fields.items():
        assert section.annotation is not None
        assert issubclass(section.annotation, Section)
        for key, field in section.annotation.model_fields.items():
            default = "required" if field.is_required() else f"`{json.dumps(field.default)}`"
            rows.append(f"| `{name}.{key}` | {default} | {field.description} |")
    assert [line for line in LINES if re.match(r"\| `[a-z]+\.[a-z_]+` ", line)] == rows
