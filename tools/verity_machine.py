# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A virtual machine whose kernel has what that of a container's host may lack.

The machine is Debian's kernel and Python in one initial RAM file system, an ext4 disk with the
feature verity, and no network. What happens inside is in ``verity_guest.py``, which holds our seal
against fs-verity, and in ``limits_guest.py``, which lets control groups of version 2 count kills.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from . import image
from .engine import install
from .paths import CACHE, ROOT
from .report import Failure, run, say, step

FOLDER = CACHE / "soak" / "machine"
SUITE = "bookworm"
PACKAGES = ("kmod", "linux-image-cloud-amd64", "python3")
# What the guest does not read would only make its memory larger.
LEFT_OUT = (
    "/lib/modules/*/kernel/*",
    "/usr/share/doc/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
    "/usr/share/zoneinfo/*",
)
DRIVERS = ("virtio/*", "block/virtio_blk.ko")
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "cpio": "cpio",
    "mke2fs": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
}
DISK_BYTES = 64 << 20
MEMORY = "1024"
TIMEOUT_SECONDS = 900
INIT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin PYTHONPATH=/collections PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
modprobe virtio_pci
modprobe virtio_blk
python3 /guest.py /dev/vda /modelops-host
echo "GUEST ENDED $?"
sync
echo o > /proc/sysrq-trigger
sleep 60
"""


def run_verity() -> dict[str, Any]:
    """Boot the machine and let it try the seal; see ``_run``."""
    return _run("verity_guest.py", "try the seal")


def run_limits() -> dict[str, Any]:
    """Boot the machine and let it kill for want of memory; see ``_run``."""
    return _run("limits_guest.py", "kill for want of memory")


def _run(guest: str, deed: str) -> dict[str, Any]:
    """Boot the machine, let ``guest`` try what it can, and return what it found.

    Raises ``Failure`` where the guest found something wrong or did not end in time.
    """
    _ensure_programs()
    base = _base()
    with tempfile.TemporaryDirectory(prefix="modelops-verity-") as name:
        folder = Path(name)
        disk = folder / "disk.img"
        with disk.open("wb") as file:
            file.truncate(DISK_BYTES)
        format_disk = ["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-O", "verity", str(disk)]
        run(format_disk, log="verity-disk")
        initrd = folder / "initrd.cpio"
        # The kernel unpacks one archive after the other.
        _pack(_overlay(folder / "overlay", guest), folder / "overlay.cpio")
        with initrd.open("wb") as whole:
            for part in (base / "base.cpio", folder / "overlay.cpio"):
                with part.open("rb") as source:
                    shutil.copyfileobj(source, whole)
        return judge(_boot(base / "vmlinuz", initrd, disk, deed))


def _ensure_programs() -> None:
    path = f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
    missing = [package for name, package in PROGRAMS.items() if not shutil.which(name, path=path)]
    if not Path(image.KEYRING).is_file():
        missing.append("debian-archive-keyring")
    if missing:
        install(*missing)
    if os.geteuid() != 0:
        raise Failure("the machine is built by root (mmdebstrap --mode=root)")


def _base() -> Path:
    """Return the folder with the kernel and the archive of Debian's part, made once."""
    recipe = repr((SUITE, PACKAGES, LEFT_OUT, DRIVERS, image.MIRROR))
    folder = FOLDER / hashlib.sha256(recipe.encode()).hexdigest()[:12]
    if (folder / "vmlinuz").is_file():
        return folder
    shutil.rmtree(FOLDER, ignore_errors=True)
    folder.mkdir(parents=True)
    with step("Build the machine from distribution packages"):
        root = folder / "root"
        command = ["mmdebstrap", "--mode=root", "--variant=minbase", f"--keyring={image.KEYRING}"]
        command += [f"--include={','.join(PACKAGES)}", "--components=main"]
        command += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
        drivers = "/lib/modules/*/kernel/drivers"
        command += [f"--dpkgopt=path-include={drivers}/{pattern}" for pattern in DRIVERS]
        command += ["--dpkgopt=force-unsafe-io"]
        command += [f"--aptopt={option}" for option in image.apt_options()]
        run([*command, SUITE, str(root), *image.sources(SUITE)], log="verity-root")
        kernel = next((root / "boot").glob("vmlinuz-*"))
        shutil.copy(kernel, folder / "vmlinuz.new")
        shutil.rmtree(root / "boot")
        shutil.rmtree(root / "var" / "lib" / "apt" / "lists")
        _pack(root, folder / "base.cpio")
        shutil.rmtree(root)
        # Last, since it says that all is there
        (folder / "vmlinuz.new").rename(folder / "vmlinuz")
    return folder


def _overlay(folder: Path, guest: str) -> Path:
    """Lay our own files out as they stand in the guest: the code, the packed command, init."""
    plugins = Path("collections", "ansible_collections", "modelops", "serving", "plugins")
    shutil.copytree(
        ROOT / "plugins" / "module_utils",
        folder / plugins / "module_utils",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(ROOT / "tools" / guest, folder / "guest.py")
    (folder / "init").write_text(INIT, encoding="ascii")
    (folder / "init").chmod(0o755)
    pack = (
        "import sys; from ansible_collections.modelops.serving.plugins.module_utils._zipapp "
        "import build; sys.stdout.buffer.write(build('_host_command', '/usr/bin/python3'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(folder / "collections")}
    command = [shutil.which("python3") or "python3", "-c", pack]
    packed = subprocess.run(command, env=environment, capture_output=True, check=False)
    if packed.returncode != 0:
        raise Failure(f"modelops-host cannot be packed: {packed.stderr.decode()}")
    (folder / "modelops-host").write_bytes(packed.stdout)
    (folder / "modelops-host").chmod(0o755)
    return folder


def _pack(folder: Path, archive: Path) -> None:
    """Pack a folder as the kernel wants it."""
    script = 'cd "$1" && find . -print0 | cpio --null --quiet --create --format=newc > "$2"'
    run(["sh", "-c", script, "sh", str(folder), str(archive)], log="verity-cpio")


def _boot(kernel: Path, initrd: Path, disk: Path, deed: str) -> str:
    """Run the machine to its end and return what it wrote to its serial line."""
    command = ["qemu-system-x86_64", "-accel", "tcg", "-m", MEMORY, "-nographic", "-no-reboot"]
    command += ["-nic", "none", "-kernel", str(kernel), "-initrd", str(initrd)]
    command += ["-append", "console=ttyS0 quiet panic=-1"]
    command += ["-drive", f"file={disk},format=raw,if=virtio"]
    with step(f"Boot the machine, without KVM, and {deed}"):
        return run(["timeout", str(TIMEOUT_SECONDS), *command], log="verity-machine")


def judge(output: str) -> dict[str, Any]:
    """Return the guest's record. Raises ``Failure`` unless it is whole and all in it is true."""
    prefix = "GUEST RECORD "
    lines = [line.strip() for line in output.splitlines()]
    records = [line.partition(prefix)[2] for line in lines if prefix in line]
    tail = "\n".join(lines[-30:])
    record: dict[str, Any] = json.loads(records[0]) if len(records) == 1 else {}
    if not record.get("checks") or "GUEST ENDED 0" not in lines:
        raise Failure(f"the machine did not come to its end:\n{tail}")
    wrong = sorted(name for name, good in record["checks"].items() if good is not True)
    if wrong:
        raise Failure(f"not as it should be: {', '.join(wrong)}\n{json.dumps(record, indent=2)}")
    say(f"  {len(record['checks'])} checks hold on Linux {record['kernel']}")
    return record
