# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs in the machine of ``verity_machine.py``: seal a snapshot, change it below, and look.

Usage: verity_guest.py DISK COMMAND

``DISK`` is an ext4 file system with fs-verity, ``COMMAND`` the packed modelops-host. The last line
is ``GUEST RECORD`` and JSON: ``kernel``, ``digests`` by file, and ``checks``, each true or false.
"""

from __future__ import annotations

import array
import errno
import fcntl
import hashlib
import json
import os
import platform
import struct
import subprocess
import sys
from importlib import import_module
from types import ModuleType
from typing import Any

BLOCK = 4096
FIBMAP = 1  # include/uapi/linux/fs.h: _IO(0x00, 1)
MOUNT, SOURCE = "/data", "/source"
WEIGHTS, CONFIG = "model.safetensors", "config.json"
UTILS = "ansible_collections.modelops.serving.plugins.module_utils"


def main(disk: str, command: str) -> int:
    """Try everything and print the record; return 0, whatever was found."""
    seal, store = import_module(f"{UTILS}._seal"), import_module(f"{UTILS}._store")
    proofs = import_module(f"{UTILS}._proof")
    checks: dict[str, bool] = {}
    make_model(SOURCE)
    _mount(disk)
    place = store.Place(f"{MOUNT}/models", "path", "owner/name", "v1")
    weights, config = os.path.join(place.path, WEIGHTS), os.path.join(place.path, CONFIG)

    outcome = _present(place)
    proof = proofs.read_proof(place.proof)["seal"]
    digests = proof.get("digests", {})
    checks["the snapshot is sealed with fs-verity"] = proof["verity"] == "enabled"
    checks["nothing is warned of"] = not any("fs-verity" in text for text in outcome.warnings)
    ours = {path: file_digest(os.path.join(place.path, path)) for path in digests}
    checks["the recorded digests are those computed here"] = len(ours) == 2 and ours == digests
    checks["the kernel measures the same"] = seal.measured(place.path, proof) == set(ours)
    checks["a second run changes nothing"] = not _present(place).changed
    os.chmod(weights, 0o644)
    checks["writing is refused, even to root"] = _errno(weights, "r+b") == errno.EPERM
    os.chmod(weights, 0o444)
    fine = _check(command, place.path)
    checks["modelops-host check accepts it"] = fine.returncode == 0
    checks["by fs-verity"] = "2 of them by fs-verity" in fine.stdout

    page = os.path.getsize(weights) // BLOCK // 2
    block = _block(weights, page)
    _run("umount", MOUNT)
    _flip(disk, block * BLOCK + 100)
    _mount(disk)

    checks["the changed page cannot be read (EIO)"] = _errno(weights, "rb", page) == errno.EIO
    checks["the pages around it can"] = _errno(weights, "rb", page - 1) == 0
    checks["the untouched file can be read"] = _errno(config, "rb") == 0
    checks["its digest is still the recorded one"] = seal.measured(place.path, proof) == set(ours)
    manifest = store.load_manifest(place)
    damage = store.find_damage(place.path, manifest, store.State(place.state), True)
    checks["find_damage calls it different"] = damage.different == (WEIGHTS,)
    for name, done in {
        "check": _check(command, place.path),
        "verify": _command(command, "verify", "--store", f"{MOUNT}/models"),
    }.items():
        named = f"{weights} does not have the bytes" in done.stderr and config not in done.stderr
        checks[f"modelops-host {name} ends with 3 and names the file"] = (
            done.returncode == 3 and named
        )
    beyond = _check(command, place.path, "--max-bytes", "0")
    checks["a start check without reading leaves it to the kernel"] = beyond.returncode == 0

    repaired = _present(place, "full")
    checks["a run fetches that file alone"] = [item["path"] for item in repaired.files] == [WEIGHTS]
    again = proofs.read_proof(place.proof)["seal"]
    checks["it is sealed as before"] = again == proof
    checks["and the kernel agrees"] = seal.measured(place.path, again) == set(ours)
    checks["modelops-host check accepts it again"] = _check(command, place.path).returncode == 0
    checks.update(_without_verity(disk, command, store))
    _run("umount", MOUNT)

    record = {"kernel": platform.release(), "digests": digests, "checks": checks}
    print("GUEST RECORD " + json.dumps(record), flush=True)
    return 0


def _without_verity(disk: str, command: str, store: ModuleType) -> dict[str, bool]:
    """Change the disk below a file that fs-verity does not guard, and that is still in memory."""
    snapshot: Any = import_module(f"{UTILS}._snapshot")
    # Stands in for a file system without fs-verity, beside the real one
    snapshot.protect = lambda _folder, _paths: {"verity": "unsupported", "reason": "as if"}
    place = store.Place(f"{MOUNT}/models", "path", "owner/name", "v2")
    _present(place)
    weights = os.path.join(place.path, WEIGHTS)
    os.sync()
    with open(weights, "rb") as file:
        first = hashlib.sha256(file.read()).digest()
    _flip(disk, _block(weights, 3) * BLOCK)
    with open(weights, "rb") as file:
        cached = hashlib.sha256(file.read()).digest()
    found = _command(command, "verify", "--store", f"{MOUNT}/models")
    return {
        "without it, memory hides a change of the disk": cached == first,
        "modelops-host verify reads the disk and finds it": (
            found.returncode == 3 and f"{weights} does not have the bytes" in found.stderr
        ),
    }


def file_digest(path: str) -> str:
    """Return the fs-verity digest of a file in hex: SHA-256, blocks of 4096 bytes, no salt.

    The Merkle tree and the descriptor of https://docs.kernel.org/filesystems/fsverity.html
    """
    with open(path, "rb") as file:
        level = list(iter(lambda: file.read(BLOCK), b""))
    size = os.path.getsize(path)
    while level:
        hashes = [hashlib.sha256(block.ljust(BLOCK, b"\0")).digest() for block in level]
        if len(hashes) == 1:
            break
        joined = b"".join(hashes)
        level = [joined[start : start + BLOCK] for start in range(0, len(joined), BLOCK)]
    root = hashes[0] if level else bytes(32)
    # struct fsverity_descriptor: version, algorithm, log2 of the block size, no salt, reserved,
    # size of the file, root hash, salt, reserved
    descriptor = struct.pack("<BBBBIQ64s32s144x", 1, 1, 12, 0, 0, size, root, b"")
    return hashlib.sha256(descriptor).hexdigest()


def make_model(folder: str) -> None:
    """Write a model of 3 MiB, more than one level of the tree."""
    os.makedirs(folder)
    header = json.dumps({"w": {"dtype": "F32", "shape": [786432], "data_offsets": [0, 3145728]}})
    with open(f"{folder}/{WEIGHTS}", "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header.encode())
        file.write(b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(98304)))
    with open(f"{folder}/{CONFIG}", "w", encoding="utf-8") as file:
        json.dump({"architectures": ["BertModel"], "hidden_size": 4}, file)


def _present(place: object, verify: str = "auto"):  # type: ignore[no-untyped-def]
    """Run the collection's own way from a source to a sealed snapshot."""
    snapshot, sources = import_module(f"{UTILS}._snapshot"), import_module(f"{UTILS}._sources")
    wanted = sources.Wanted(id="owner/name", revision="v", endpoint=SOURCE, hash_all=True)
    source = sources.SOURCES["path"](wanted, sources.Connection())
    choice = snapshot.Choice(verify=verify)
    return snapshot.Snapshot(place, source, choice).present()


def _mount(disk: str) -> None:
    os.makedirs(MOUNT, exist_ok=True)
    _run("mount", "-t", "ext4", disk, MOUNT)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _check(command: str, folder: str, *more: str) -> subprocess.CompletedProcess[str]:
    return _command(command, "check", "--snapshot", folder, *more)


def _command(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([command, *arguments], capture_output=True, text=True, check=False)


def _errno(path: str, mode: str, page: int | None = None) -> int:
    """Open a file and read it, or one page of it; return the number of the error, 0 for none."""
    try:
        with open(path, mode, buffering=0) as file:
            if page is None:
                file.read()
            else:
                # One page alone, without those that the kernel would read ahead
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
                os.pread(file.fileno(), BLOCK, page * BLOCK)
    except OSError as error:
        return error.errno or -1
    return 0


def _block(path: str, page: int) -> int:
    """Return where on the disk a page of a file lies, in blocks."""
    numbers = array.array("i", [page])
    with open(path, "rb") as file:
        fcntl.ioctl(file, FIBMAP, numbers)
    return numbers[0]


def _flip(disk: str, offset: int) -> None:
    """Change one byte of the disk, below the file system."""
    handle = os.open(disk, os.O_RDWR)
    byte = os.pread(handle, 1, offset)[0]
    os.pwrite(handle, bytes([byte ^ 0xFF]), offset)
    os.fsync(handle)
    os.close(handle)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
