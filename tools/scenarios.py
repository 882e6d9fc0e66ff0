# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Molecule scenarios, one after the other, against the installed tarball.

Usage: python3 -m tools.scenarios [NAME...]
"""

from __future__ import annotations

import os
import re
import sys
import time

from . import collection, engine, image, venv
from .machine import write_variables
from .paths import CACHE, LOGS, ROOT, binary
from .report import Failure, main, run, say, show, step

SHARED = ROOT / "molecule" / "shared"


def names() -> list[str]:
    """Return every scenario of the project."""
    return sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))


def images(scenarios: list[str]) -> list[str]:
    """Return the host images that the scenarios' platforms name."""
    found: set[str] = set()
    for name in scenarios:
        text = (ROOT / "molecule" / name / "molecule.yml").read_text(encoding="utf-8")
        found.update(re.findall(rf"{image.REPOSITORY}:([\w-]+)", text))
    return sorted(found)


def prepare(scenarios: list[str]) -> None:
    """Have all that the scenarios need: host images and the installed collection."""
    for name in images(scenarios):
        image.ensure(name)
    with step("Build the collection's tarball and install it"):
        collection.install()


def run_one(name: str) -> bool:
    """Run one scenario from nothing to nothing; return whether it passed."""
    environment = {
        "PATH": f"{binary('dev', '')}{os.pathsep}{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(collection.INSTALLED),
        "MODELOPS_MACHINE": str(write_variables(CACHE / "machine.json")),
        "MOLECULE_GLOB": "molecule/*/molecule.yml",
        "ANSIBLE_FORCE_COLOR": "0",
        "PY_COLORS": "0",
    }
    command = [binary("dev", "molecule"), "--base-config", str(SHARED / "base.yml"), "test"]
    log = f"molecule-{name}"
    try:
        with step(f"Scenario {name}"):
            run([*command, "--scenario-name", name], log=log, env=environment)
    except Failure as failure:
        show(f"{failure}")
        return False
    return True


def run_all(scenarios: list[str]) -> bool:
    """Run scenarios one after the other and close with one line; return whether all passed."""
    begun = time.monotonic()
    results = {name: run_one(name) for name in scenarios}
    failed = sorted(name for name, passed in results.items() if not passed)
    for name in failed:
        say(f"scenario {name} failed: {LOGS / f'molecule-{name}.log'}")
    say(f"scenarios took {time.monotonic() - begun:.0f} s")
    show(f"scenarios: {len(results) - len(failed)} passed, {len(failed)} failed")
    return not failed


def _command_line() -> int | None:
    chosen = sys.argv[1:] or names()
    unknown = sorted(set(chosen) - set(names()))
    if unknown:
        raise Failure(f"no scenario '{unknown[0]}'; choose from {', '.join(names())}")
    venv.ensure("dev")
    with engine.running():
        prepare(chosen)
        return 0 if run_all(chosen) else 1


if __name__ == "__main__":
    main(_command_line)
