# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The collection where Ansible looks for it: linked from the checkout, or built and installed.

Usage: python3 -m tools.collection link|build|install
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from .paths import CACHE, COLLECTIONS, ROOT, binary
from .report import Failure, main, run, say

NAMESPACE, NAME = "modelops", "serving"
BUILD = CACHE / "build"
INSTALLED = CACHE / "installed"


def link() -> Path:
    """Put the checkout on a collections path, and return that path."""
    target = COLLECTIONS / "ansible_collections" / NAMESPACE / NAME
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.is_symlink() or target.resolve() != ROOT:
        target.unlink(missing_ok=True)
        target.symlink_to(os.path.relpath(ROOT, target.parent))
    return COLLECTIONS


def build(folder: Path = BUILD) -> Path:
    """Build the tarball that users install, and return its path."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [binary("dev", "ansible-galaxy"), "collection", "build", "--output-path", str(folder)]
    run(command, log=f"build-{folder.parent.name}-{folder.name}")
    return next(folder.glob(f"{NAMESPACE}-{NAME}-*.tar.gz"))


def install() -> Path:
    """Install the built tarball apart from the checkout, and return that collections path."""
    tarball = build()
    shutil.rmtree(INSTALLED, ignore_errors=True)
    command = [binary("dev", "ansible-galaxy"), "collection", "install", "--offline"]
    run([*command, "--collections-path", str(INSTALLED), str(tarball)], log="collection-install")
    return INSTALLED


def _command_line() -> int | None:
    verbs = {"link": link, "build": build, "install": install}
    if len(sys.argv) != 2 or sys.argv[1] not in verbs:
        raise Failure((__doc__ or "").strip())
    say(str(verbs[sys.argv[1]]()))
    return None


if __name__ == "__main__":
    main(_command_line)
