# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The environment of the real clients.

``MODEL_CLIENTS_PYTHON`` names an interpreter that has requirements.txt installed; without it one is
made in ``.cache/clients-<digest of the requirements>/`` of the project, once.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def clients_python() -> Path:
    """The interpreter that runs modelscope and huggingface_hub."""
    given = os.environ.get("MODEL_CLIENTS_PYTHON")
    if given:
        return Path(given)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + version.encode()).hexdigest()[:12]
    folder = PROJECT / ".cache" / f"clients-{digest}"
    stamp, python = folder / "complete", folder / "bin" / "python"
    if not stamp.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = ["-m", "pip", "install", "--quiet", "--requirement", str(REQUIREMENTS)]
        subprocess.run([str(python), *install], check=True)
        stamp.touch()
    return python
