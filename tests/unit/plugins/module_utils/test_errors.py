# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The codes of failures are all listed, and all used."""

from __future__ import annotations

import ast
from pathlib import Path

from ansible_collections.modelops.serving.plugins.module_utils import _errors

FOLDER = Path(_errors.__file__).parents[1]


def test_all_codes_in_use_are_listed():
    texts = set()
    for path in FOLDER.rglob("*.py"):
        if path.name == "_errors.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ModelError":
                code = node.args[1]
                assert isinstance(code, (ast.Constant, ast.Name)), ast.unparse(node)
                if isinstance(code, ast.Constant):
                    assert code.value in _errors.CODES, f"{path.name}: {code.value}"
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
    assert not set(_errors.CODES) - texts, "a code that nothing uses"
