# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Molecule scenarios, one after the other, against the installed tarball.

Usage: python3 -m tools.scenarios [NAME...]
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from . import collection, engine, image, venv
from .machine import write_variables
from .paths import CACHE, ROOT, binary
from .report import Failure, main, run, show, step

SHARED = ROOT / "molecule" / "shared"
LONGEST = ("default", "surfaces", "edge", "alone", "edge_changes")


def names() -> list[str]:
    """Return every scenario of the project, those that take longest first."""
    found = {path.parent.name for path in ROOT.glob("molecule/*/molecule.yml")}
    return [*LONGEST, *sorted(found - set(LONGEST))]


def images(scenarios: list[str]) -> list[str]:
    """Return the host images that the scenarios' platforms name."""
    found: set[str] = set()
    for name in scenarios:
        text = (ROOT / "molecule" / name / "molecule.yml").read_text(encoding="utf-8")
        found.update(re.findall(rf"{image.REPOSITORY}:([\w-]+)", text))
    return sorted(found)


def prepare(scenarios: list[str]) -> None:
    """Have all that the scenarios need: host images, scanners and the installed collection."""
    venv.ensure("scanners")
    for name in images(scenarios):
        image.ensure(name)
    with step("Build the collection's tarball and install it"):
        collection.install()


def run_one(name: str) -> None:
    """Run one scenario from nothing to nothing; raise ``Failure`` if it does not pass."""
    programs = (SHARED / "bin", Path(binary("dev", "python")).parent)
    environment = {
        "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
        "ANSIBLE_COLLECTIONS_PATH": str(collection.INSTALLED),
        "MODELOPS_MACHINE": str(write_variables(CACHE / "machine.json")),
        "MOLECULE_GLOB": "molecule/*/molecule.yml",
        "ANSIBLE_FORCE_COLOR": "0",
        "PY_COLORS": "0",
    }
    command = [binary("dev", "molecule"), "--base-config", str(SHARED / "base.yml"), "test"]
    run([*command, "--scenario-name", name], log=f"molecule-{name}", env=environment)


def run_all(chosen: list[str]) -> list[str]:
    """Run scenarios one after the other, and return the names of those that failed."""
    failed = []
    for name in chosen:
        try:
            with step(f"Scenario {name}"):
                run_one(name)
        except Failure as failure:
            show(str(failure))
            failed.append(name)
    show(f"{len(chosen) - len(failed)} passed, {len(failed)} failed")
    return failed


def _command_line() -> int | None:
    chosen = sys.argv[1:] or names()
    unknown = sorted(set(chosen) - set(names()))
    if unknown:
        raise Failure(f"no scenario '{unknown[0]}'; choose from {', '.join(names())}")
    venv.ensure("dev")
    with engine.running():
        prepare(chosen)
        return 1 if run_all(chosen) else 0


if __name__ == "__main__":
    main(_command_line)
