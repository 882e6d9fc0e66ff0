# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The documents lead to files that exist, and leave out no key, no error code and no role."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools import collection  # noqa: E402

sys.path[:0] = [str(collection.link()), str(ROOT / "files" / "model_server")]

from ansible_collections.modelops.serving.plugins.module_utils._schema import (  # noqa: E402
    SCHEMA,
)
from model_server.errors import TABLE  # noqa: E402

ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
DOCUMENTS = sorted(
    path for glob in ("README*.md", "docs/*.md", "roles/*/README.md") for path in ROOT.glob(glob)
)
ALONE = sorted((ROOT / "molecule" / "alone" / "plays").glob("*.yml"))
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def declared_keys(section: Any, above: str = "") -> Iterator[str]:
    """The keys of the declaration, such as ``model.source``."""
    for key, field in section.items():
        if hasattr(field, "items"):
            yield from declared_keys(field, f"{above}{key}.")
        else:
            yield f"{above}{key}"


def error_codes() -> set[tuple[int, str]]:
    """Status and code of whatever the server or Nginx may answer."""
    edge = ROOT / "roles" / "reverse_proxy"
    variables = yaml.safe_load((edge / "vars" / "main.yml").read_text(encoding="utf-8"))
    template = (edge / "templates" / "http.conf.j2").read_text(encoding="utf-8")
    written = re.findall(r"""return (\d{3}) '.*"code":"(\w+)""", template)
    return (
        {(row.status, row.code) for row in TABLE}
        | {(row["status"], row["code"]) for row in variables["__reverse_proxy_errors"]}
        | {(int(status), code) for status, code in written}
    )


def first_cells(name: str) -> str:
    """The first cells of all rows of a document's tables."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return "\n".join(line.split("|")[1] for line in lines if line.startswith("|"))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(path: Path) -> None:
    links = LINK.findall(path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("name", ["docs/declaration.md", "docs/declaration.zh-CN.md"])
def test_every_key_of_the_declaration_is_described(name: str) -> None:
    described = set(re.findall(r"`([\w.]+)`", first_cells(name)))
    assert sorted(set(declared_keys(SCHEMA)) - described) == []


@pytest.mark.parametrize("name", ["docs/api.md", "docs/api.zh-CN.md"])
def test_the_table_of_errors_is_the_real_one(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", text, re.MULTILINE)
    assert {(int(status), code) for status, code in rows} == error_codes()


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_role_has_a_document(role: Path) -> None:
    assert (role / "README.md").read_text(encoding="utf-8").count(f"# {role.name}\n") == 1


@pytest.mark.parametrize("play", ALONE, ids=lambda path: path.stem)
def test_the_first_playbook_of_a_role_is_the_one_that_is_run(play: Path) -> None:
    shown = re.findall(
        r"^```yaml\n(.*?)^```$",
        (ROOT / "roles" / play.stem / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )[0]
    run = re.sub(r"\A---\n(#.*\n)*", "", play.read_text(encoding="utf-8"))
    assert run == shown
