# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Compile what a project declares to a lock with hashes: locks/py311-x86_64-cpu.txt and its like.

The projects are the folders beside this file: model_server declares its packages in pyproject.toml,
with an extra for each variant, model_tools and acme_client in requirements.in. Needs uv on the path
or beside this interpreter. Where packages come from is read from pip's own environment variables,
else from the collection's public addresses; none of it enters the lock. A lock can be compiled for
any Python and architecture for which the wheels exist:

    python compile_lock.py [--project model_server] [--python 3.11] [--architecture x86_64]
                           [--variant cpu] [--mirror default]
"""

from __future__ import annotations

import argparse
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

_FILES = Path(__file__).resolve().parent
_ADDRESSES = _FILES.parent / "plugins" / "module_utils" / "_addresses.py"
# The project's file, its variant, and whether that is an extra of the file.
_PROJECTS = {
    "model_server": ("pyproject.toml", "cpu", True),
    "model_tools": ("requirements.in", "tools", False),
    "acme_client": ("requirements.in", "acme", False),
}
_HEADER = """\
# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
# Python {python}, {architecture}, variant {variant}. Compiled by compile_lock.py; do not edit.
"""


def main() -> int:
    """Compile one lock; return uv's exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--project", default="model_server", choices=sorted(_PROJECTS))
    parser.add_argument("--python", default="3.11", help="Python version of the lock")
    parser.add_argument("--architecture", default="x86_64", choices=["x86_64", "aarch64"])
    parser.add_argument("--variant", default="", help="extra of model_server, by default cpu")
    parser.add_argument("--mirror", default="default", help="preset of public addresses")
    options = parser.parse_args()

    source, variant, has_extras = _PROJECTS[options.project]
    options.variant = options.variant or variant
    folder = _FILES / options.project
    name = f"py{options.python.replace('.', '')}-{options.architecture}-{options.variant}.txt"
    command = [
        *(_uv(), "pip", "compile", "--quiet", "--no-config", "--no-header", "--no-annotate"),
        *("--generate-hashes", "--upgrade", "--only-binary", ":all:"),
        *("--python-version", options.python),
        *(("--extra", options.variant) if has_extras else ()),
        *("--python-platform", f"{options.architecture}-manylinux_2_28"),
        *_places(options.mirror, torch=has_extras),
        str(folder / source),
    ]
    environment = dict(os.environ)
    if certificate := os.environ.get("PIP_CERT"):
        environment.setdefault("SSL_CERT_FILE", certificate)
    answer = subprocess.run(  # the command is ours, without a shell
        command, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if answer.returncode == 0:
        lock = folder / "locks" / name
        lock.parent.mkdir(exist_ok=True)
        lock.write_text(_HEADER.format(**vars(options)) + answer.stdout)
    return answer.returncode


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        sys.exit("uv is not installed; install it with `pip install uv`")
    return found


def _places(mirror: str, torch: bool) -> list[str]:
    """Options for uv: indexes and wheel folders of pip's environment, else the public ones."""
    preset: dict[str, str] = runpy.run_path(str(_ADDRESSES))["PRESETS"][mirror]
    places = ["--default-index", os.environ.get("PIP_INDEX_URL") or preset["package_index"]]
    folders = os.environ.get("PIP_FIND_LINKS", "").split()
    for folder in folders:
        places += ["--find-links", folder]
    for index in os.environ.get("PIP_EXTRA_INDEX_URL", "").split():
        places += ["--index", index]
    if torch and not folders:
        # The variant's torch stands on its own index, everything else on the default one.
        places += ["--index", preset["torch_cpu_index"]]
        places += ["--index-strategy", "unsafe-best-match"]
    return places


if __name__ == "__main__":
    sys.exit(main())
