# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Modules as a user calls them ad hoc, as the fixture ``call``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[1]
Call = Callable[..., dict[str, Any]]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """A function that runs one module on localhost and returns its result with ``failed``."""
    folder = tmp_path / "collections" / "ansible_collections" / "modelops"
    folder.mkdir(parents=True)
    (folder / "serving").symlink_to(PROJECT)
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_NOCOLOR": "true",
    }
    ansible = str(Path(sys.executable).with_name("ansible"))

    def run(module: str, *flags: str, **options: Any) -> dict[str, Any]:
        asked = ["-m", f"modelops.serving.{module}", "-a", json.dumps(options)]
        interpreter = ["-e", f"ansible_python_interpreter={sys.executable}"]
        done = subprocess.run(
            [ansible, "localhost", *asked, *interpreter, *flags],
            check=False,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert " => {" in done.stdout, done.stdout + done.stderr
        result: dict[str, Any] = json.loads(done.stdout.partition(" => ")[2])
        return {**result, "failed": done.returncode != 0}

    return run
