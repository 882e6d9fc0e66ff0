# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The order of the rooms: nothing imports what stands to its right, read from the source."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[3] / "files" / "model_server" / "model_server"

# A room may import those before it, and itself.
ORDER = [
    {"types", "errors", "settings", "records", "watchdog"},
    {"client", "credentials", "logs", "metrics", "pages"},
    {"security"},
    {"engines"},
    {"batching"},
    {"tasks"},
    {"lanes"},
    {"runtime"},
    {"api"},
    {"app"},
    {"wsgi", "gunicorn_conf", "__main__"},
]
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}
FILES = sorted(file for file in PACKAGE.rglob("*.py") if file != PACKAGE / "__init__.py")


def room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(file: Path) -> set[str]:
    depth = len(file.relative_to(PACKAGE).parts)
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found |= {name.partition(".")[0] for name in names if name != "__version__"}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert not (node.module or "").startswith("model_server"), "imports are relative"
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("model_server") for alias in node.names)
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_room_imports_only_what_stands_before_it(file: Path) -> None:
    own = room(file)
    assert own in RANK, f"{own} has no place in the order"
    for other in imported_rooms(file):
        allowed = other == own or RANK[other] < RANK[own]
        # The table of errors is used by settings' neighbours, the wire models by nobody below.
        assert allowed, f"{own} must not import {other}"


def test_the_check_finds_imports() -> None:
    found = {room(file): imported_rooms(file) for file in FILES}
    assert {"runtime", "errors"} <= found["api"] | imported_rooms(PACKAGE / "api" / "embeddings.py")
    assert "runtime" in imported_rooms(PACKAGE / "app.py")


def test_wire_models_import_nothing_of_ours() -> None:
    for file in (PACKAGE / "types").glob("*.py"):
        assert imported_rooms(file) <= {"types"}


def modules_after(statement: str) -> set[str]:
    code = f"{statement}; import sys, json; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PACKAGE.parent,
        env={"PYTHONPATH": str(PACKAGE.parent), "PATH": ""},
        check=True,
        capture_output=True,
    )
    return set(json.loads(answer.stdout))


def test_the_application_needs_no_engine_package() -> None:
    modules = modules_after("import model_server.app")
    assert not modules & {"torch", "transformers", "tokenizers"}


def test_wire_models_need_no_server() -> None:
    modules = modules_after("import model_server.types")
    assert not modules & {"flask", "numpy", "torch", "prometheus_client"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_files_are_short_and_licensed(file: Path) -> None:
    lines = file.read_text().splitlines()
    assert lines[1] == "# SPDX-License-Identifier: Apache-2.0"
    assert len(lines) < 400
