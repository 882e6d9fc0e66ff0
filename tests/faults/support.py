# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The module model_snapshot as a process of its own, and a model for it at the test hub."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from hub import Hub

MODULE = "ansible_collections.modelops.serving.plugins.modules.model_snapshot"
ID = "owner/model"
REVISION = "v1.0.0"
WEIGHTS = "model.safetensors"
CONFIG = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "vocab_size": 100,
    "max_position_embeddings": 128,
}


def write_model(root: Path, size: int, seed: int = 0) -> Path:
    """Write a small whole model below a hub's root and return its folder.

    ``size`` is that of its weights in bytes; another ``seed`` makes other bytes.
    """
    folder = root / ID
    (folder / "nested").mkdir(parents=True, exist_ok=True)
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    body = random.Random(seed).randbytes(size)
    (folder / WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header + body)
    (folder / "config.json").write_text(json.dumps({**CONFIG, "seed": seed}))
    (folder / "nested" / "vocab.txt").write_text("".join(f"word{seed}-{n}\n" for n in range(100)))
    return folder


def options(hub: Hub, store: Path, source: str = "http", **more: Any) -> dict[str, Any]:
    """Return the module's options for the model at ``hub``."""
    endpoint = hub.url + ("/store" if source == "http" else "")
    named = {"source": source, "id": ID, "revision": REVISION, "endpoint": endpoint}
    return {**named, "store": str(store), "timeout": 5, "retries": 1, **more}


def snapshot(store: Path, source: str = "http") -> Path:
    """Return where the model's snapshot stands once it is whole."""
    return store / source / ID / REVISION


def contents(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of all files below ``folder`` by their path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def start(arguments: dict[str, Any], *before: str, **env: str) -> subprocess.Popen[str]:
    """Start the module; ``before`` are words that come first on its command line."""
    process = subprocess.Popen(
        [*before, sys.executable, "-m", MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **env},
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
    process.stdin.close()
    process.stdin = None
    return process


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a module and return its answer, with ``failed`` in any case."""
    output, errors = process.communicate(timeout=120)
    assert output.lstrip().startswith("{"), output + errors
    return {"failed": False, **json.loads(output)}


def run(arguments: dict[str, Any], *before: str, **env: str) -> dict[str, Any]:
    """Run the module to its end and return its answer."""
    return finish(start(arguments, *before, **env))


def assert_nothing_visible(store: Path, source: str = "http") -> None:
    """Hold that no name of a whole snapshot exists: neither its folder nor its manifest."""
    path = snapshot(store, source)
    there = [name.name for name in path.parent.glob("*")] if path.parent.exists() else []
    assert path.name not in there and f"{path.name}.manifest.json" not in there, there


def assert_whole(store: Path, model: Path, source: str = "http") -> None:
    """Hold that the snapshot is the hub's model, file by file, and says so."""
    path = snapshot(store, source)
    manifest = json.loads(Path(f"{path}.manifest.json").read_text())
    listed = {item["path"]: item["sha256"] for item in manifest["files"]}
    assert contents(path) == contents(model) == listed
