# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The built tarball carries what users need, and nothing else."""

from __future__ import annotations

import re
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools import ansible_test, collection  # noqa: E402

ALLOWED = re.compile(
    r"""
    (MANIFEST|FILES)\.json
    | README(\.zh-CN)?\.md | CHANGELOG\.rst | LICENSES/[\w.-]+\.txt
    | changelogs/changelog\.yaml
    | docs/[\w./-]+\.(md|png|svg)
    | files/model_server/(pyproject\.toml | README\.md | model_server/py\.typed)
    | files/model_server/(locks/[\w.-]+\.txt | (model_server|examples)/[\w/]+\.(py|sh))
    | files/model_server/model_server/pages/static/\w+\.(js|css|svg)
    | files/model_server/model_server/pages/(templates/\w+\.html | texts/[\w.]+\.toml)
    | files/(model_tools|acme_client)/(requirements\.in | README\.md | locks/[\w.-]+\.txt)
    | files/compile_lock\.py
    | inventories/\w+/(hosts\.yml | (group|host)_vars/[\w/]+\.yml)
    | locks/[\w./-]+\.yml
    | meta/(runtime|execution-environment)\.yml | meta/ee-(requirements|bindep)\.txt
    | playbooks/[\w/]+\.yml
    | plugins/[\w/]+\.py
    | roles/\w+/(defaults|handlers|meta|tasks|vars)/[\w/-]+\.yml
    | roles/\w+/(README\.md | (files|templates)/[\w@./-]+)
    """,
    re.VERBOSE,
)
# Tracked parts that must not be lost to a pattern in build_ignore.
SHIPPED = ("files/", "inventories/", "locks/", "meta/", "playbooks/", "plugins/", "roles/")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The files of a tarball that is built for this test."""
    tarball = collection.build(tmp_path_factory.mktemp("build") / "tarball")
    with tarfile.open(tarball) as archive:
        return [member.name for member in archive.getmembers() if member.isfile()]


def test_every_file_is_allowed(names: list[str]) -> None:
    assert [name for name in names if not ALLOWED.fullmatch(name)] == []


def test_nothing_that_users_need_is_left_out(names: list[str]) -> None:
    tracked = [str(path) for path in ansible_test.files()]
    needed = {name for name in tracked if name.startswith(SHIPPED)}
    assert sorted(needed - set(names)) == []


def test_metadata_is_complete(names: list[str]) -> None:
    assert {"MANIFEST.json", "FILES.json", "README.md", "CHANGELOG.rst", "meta/runtime.yml"} <= set(
        names
    )
