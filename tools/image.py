# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Host images: plain Debian with systemd, made of distribution packages, no registry needed.

Usage: python3 -m tools.image bookworm|bullseye|trixie|bookworm-torch...
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import collection
from .engine import SYSTEMD_FLAGS, docker, install, wait_for_boot
from .machine import PUBLIC, install_ca, run_flags, write_variables
from .paths import CACHE, LOCKS, MODEL_TOOLS, ROOT, binary
from .report import Failure, main, run, say, step

REPOSITORY = "modelops-host"
SUITES = ("bullseye", "bookworm", "trixie")
MIRROR = os.environ.get("MODELOPS_DEBIAN_MIRROR", PUBLIC["debian"])
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# A minimal server installation; whatever a role needs beyond this, the role installs.
PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "iputils-ping",
    "kmod",
    "libpam-systemd",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
    "tzdata",
)
# One machine id for all hosts would make them one host to journald and to DHCP.
HOOKS = (': > "$1/etc/machine-id"', 'rm -f "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap"')
CHANGES = (
    "ENV container=docker",
    'CMD ["/lib/systemd/systemd"]',
)
BAKE_PLAYBOOK = ROOT / "molecule" / "shared" / "bake.yml"
BAKED = "bookworm-torch"


def tag(name: str) -> str:
    """Return the stable name of an image."""
    return f"{REPOSITORY}:{name}"


def ensure(name: str) -> str:
    """Have the image ``name``, building it only if its recipe changed; return its stable name."""
    if name != BAKED and name not in SUITES:
        raise Failure(f"no image '{name}'; choose from {', '.join((*SUITES, BAKED))}")
    exact = f"{tag(name)}-{_digest(name)}"
    if not _exists(exact):
        if name == BAKED:
            _bake(exact)
        else:
            _build(name, exact)
    docker("tag", exact, tag(name))
    return tag(name)


def remove_all() -> None:
    """Remove every image that was built here."""
    # By name: an image that another one was made from can be untagged, but not removed by its id.
    listed = docker("image", "ls", "--format={{.Repository}}:{{.Tag}}", REPOSITORY).split()
    if listed:
        docker("image", "rm", *listed)
        say(f"removed {len(listed)} names of host images")


def _exists(image: str) -> bool:
    command = ["docker", "image", "inspect", image]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _digest(name: str) -> str:
    recipe = hashlib.sha256(repr((SUITES, MIRROR, PACKAGES, HOOKS, CHANGES)).encode())
    if name == BAKED:
        role, plugins = ROOT / "roles" / "python_env", ROOT / "plugins"
        locks = [*LOCKS.glob("*.txt"), *MODEL_TOOLS.glob("locks/*.txt")]
        sources = [*role.rglob("*"), *locks, BAKE_PLAYBOOK]
        sources += [*plugins.glob("modules/python_env*.py"), *plugins.glob("*/_environment.py")]
        for path in sorted(path for path in sources if path.is_file()):
            recipe.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return recipe.hexdigest()[:12]


def _build(suite: str, image: str) -> None:
    if shutil.which("mmdebstrap") is None or not Path(KEYRING).is_file():
        install("mmdebstrap", "debian-archive-keyring")
    if os.geteuid() != 0:
        raise Failure("host images are built by root (mmdebstrap --mode=root)")
    with (
        tempfile.TemporaryDirectory(prefix="modelops-image-") as folder,
        step(f"Build the host image {tag(suite)} from distribution packages"),
    ):
        archive = str(Path(folder, "root.tar"))
        command = ["mmdebstrap", "--mode=root", "--variant=minbase", f"--keyring={KEYRING}"]
        command += [f"--include={','.join(PACKAGES)}", "--components=main"]
        command += [f"--customize-hook={hook}" for hook in HOOKS]
        # A file system in the making needs no sync after each file; the option does not stay.
        command += ["--dpkgopt=force-unsafe-io"]
        command += [f"--aptopt={option}" for option in apt_options()]
        run([*command, suite, archive, *sources(suite)], log=f"image-{suite}")
        changes = [f"--change={change}" for change in CHANGES]
        docker("import", *changes, archive, image)


def sources(suite: str) -> list[str]:
    """Return the apt sources of a fresh installation, security updates included."""
    signed = f"deb [signed-by={KEYRING}]"
    security = MIRROR.rstrip("/") + "-security"
    return [
        f"{signed} {MIRROR} {suite} main",
        f"{signed} {MIRROR} {suite}-updates main",
        f"{signed} {security} {suite}-security main",
    ]


def apt_options() -> list[str]:
    """Return this machine's apt proxy, which a bootstrap does not inherit by itself."""
    if shutil.which("apt-config") is None:
        return []
    lines = subprocess.run(
        ["apt-config", "dump", "Acquire::http::Proxy"], capture_output=True, text=True, check=False
    ).stdout.splitlines()
    return [line.rstrip(";") for line in lines if line.startswith("Acquire::http::Proxy ")]


def _bake(image: str) -> None:
    """Add the server's Python environment, made by the collection's own role, as a second layer."""
    base = ensure(BAKED.partition("-")[0])
    name = f"modelops-bake-{os.getpid()}"
    with step(f"Bake the server's Python environment into {tag(BAKED)}"):
        docker("run", "--detach", "--name", name, *SYSTEMD_FLAGS, *run_flags(), base)
        try:
            wait_for_boot(name)
            install_ca(name)
            machine = write_variables(CACHE / "machine.json")
            command = [binary("dev", "ansible-playbook"), str(BAKE_PLAYBOOK)]
            command += ["--inventory", f"{name},", "--extra-vars", f"@{machine}"]
            run(command, log="bake", env={"ANSIBLE_COLLECTIONS_PATH": str(collection.link())})
            docker("kill", "--signal=SIGRTMIN+3", name)
            docker("wait", name)
            docker("commit", *(f"--change={change}" for change in CHANGES), name, image)
        finally:
            docker("rm", "--force", "--volumes", name)


def _command_line() -> int | None:
    if not sys.argv[1:]:
        raise Failure((__doc__ or "").strip())
    for name in sys.argv[1:]:
        say(f"{ensure(name)} is ready")
    return None


if __name__ == "__main__":
    main(_command_line)
