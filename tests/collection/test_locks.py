# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Locks: whole, current, without CUDA and without a trace of where they were compiled."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FILES = Path(__file__).resolve().parents[2] / "files"
LOCKS = sorted(FILES.glob("*/locks/*.txt"))

PIN = re.compile(r"([A-Za-z0-9._-]+)==(\S+) \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


def pins(lock: Path) -> dict[str, str]:
    found = (PIN.fullmatch(line) for line in lock.read_text().splitlines())
    return {canonicalize_name(match[1]): match[2] for match in found if match}


def declared(lock: Path) -> list[str]:
    """The requirements that a lock was compiled from."""
    folder, variant = lock.parents[1], lock.stem.rpartition("-")[2]
    if (folder / "requirements.in").exists():
        lines = (folder / "requirements.in").read_text().splitlines()
        return [line for line in lines if not line.startswith("#")]
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return list(project["dependencies"] + project["optional-dependencies"][variant])


@pytest.mark.parametrize(
    "name",
    [
        "py311-x86_64-cpu.txt",
        "py311-x86_64-tools.txt",
        *(f"py{python}-x86_64-acme.txt" for python in (310, 311, 312, 313, 314)),
    ],
)
def test_the_locks_of_the_tested_platforms_exist(name: str) -> None:
    assert name in [lock.name for lock in LOCKS]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
class TestLock:
    def test_every_line_is_a_pin_or_its_hash(self, lock: Path) -> None:
        after_pin = False
        for line in lock.read_text().splitlines():
            if line.startswith("#"):
                continue
            pin = PIN.fullmatch(line)
            assert pin or HASH.fullmatch(line), line
            assert not (pin and after_pin), f"no hash before {line}"
            after_pin = bool(pin)

    def test_no_address_or_path_stands_in_it(self, lock: Path) -> None:
        text = lock.read_text()
        for trace in ("://", "--index", "--find-links", "--extra", " @ ", "/opt", "/root", "/home"):
            assert trace not in text

    def test_it_holds_no_cuda(self, lock: Path) -> None:
        found = pins(lock)
        assert not [name for name in found if re.match("nvidia|cuda|triton|pytorch-triton", name)]
        if lock.stem.endswith("-cpu"):
            assert found["torch"].endswith("+cpu")

    def test_it_satisfies_what_is_declared(self, lock: Path) -> None:
        found = pins(lock)
        for text in declared(lock):
            requirement = Requirement(text)
            version = found.get(canonicalize_name(requirement.name))
            assert version is not None, f"{text} is not in {lock.name}; run make locks"
            assert requirement.specifier.contains(version), f"{text}: {version}; run make locks"
