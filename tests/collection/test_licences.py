# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Each file says its licence: GPL for what Ansible loads as a plugin, Apache for the rest."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools import ansible_test  # noqa: E402

HOLDER = "Copyright: The modelops.serving contributors"
GPL, APACHE = "GPL-3.0-or-later", "Apache-2.0"
CHECKED = {".py", ".yml", ".yaml", ".sh", ".toml", ".j2", ".ini", ".cfg"}
GENERATED = {"changelogs/changelog.yaml"}
FILES = [
    str(path)
    for path in ansible_test.files()
    if (path.suffix in CHECKED or path.name in {"Makefile", "run"}) and str(path) not in GENERATED
]


@pytest.mark.parametrize("name", FILES)
def test_file_says_its_licence(name: str) -> None:
    head = (ROOT / name).read_text(encoding="utf-8")[:1000]
    plugin = name.startswith(("plugins/", "tests/unit/plugins/"))
    assert HOLDER in head
    # Written in two parts, so that no tool takes this line for the file's own licence.
    assert "SPDX-" + f"License-Identifier: {GPL if plugin else APACHE}" in head


@pytest.mark.parametrize("licence", [GPL, APACHE])
def test_licence_text_is_there(licence: str) -> None:
    assert (ROOT / "LICENSES" / f"{licence}.txt").stat().st_size > 1000
