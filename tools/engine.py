# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The container engine: found running, or installed and started, and stopped again by us only.

Usage: python3 -m tools.engine start|stop
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .report import Failure, main, run, say, step

# Gone after a restart of the machine, as what it remembers.
STATE = Path("/run/modelops-engine")
PID_FILE = STATE / "dockerd.pid"
BY_SYSTEMD = STATE / "started-by-systemd"
LOG = STATE / "dockerd.log"
START_SECONDS = 60
_APT = threading.Lock()

# What systemd needs in a container, without --privileged. The same flags hold under cgroup v1 and
# v2: the host's tree is seen whole, and systemd keeps to the branch that the engine gave it.
SYSTEMD_FLAGS = (
    "--cap-add=SYS_ADMIN",
    "--cap-add=NET_ADMIN",
    "--cap-add=SYS_PTRACE",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--cgroupns=host",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
    "--tmpfs=/run",
    "--tmpfs=/tmp:exec",
)


def answers() -> bool:
    """Return whether an engine runs and talks to us."""
    if shutil.which("docker") is None:
        return False
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def docker(*arguments: str) -> str:
    """Run one docker command and return what it printed; raise ``Failure`` with its message."""
    command = ["docker", *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise Failure(f"'{' '.join(command)}' ended with {answer.returncode}: {answer.stderr}")
    return answer.stdout.strip()


def install(*packages: str) -> None:
    """Install distribution packages, or say in one line what is missing."""
    missing = ", ".join(packages)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Failure(f"missing: {missing}. Install it, or run this as root on Debian or Ubuntu")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    # apt waits for the lock of an installation, but not for that of the lists of packages.
    with _APT, step(f"Install {missing} with apt"):
        run(["apt-get", "-qq", "update"], log="apt-update", env=quiet)
        available = [name for name in packages if _packaged(name)]
        # Another program may be installing something at this moment.
        patient = ["-o", "DPkg::Lock::Timeout=300"]
        command = ["apt-get", "-qq", "-y", *patient, "install", "--no-install-recommends"]
        command += available
        run(command, log="apt-install", env=quiet)


def start() -> bool:
    """Make sure an engine runs; return whether this call started it."""
    if answers():
        return False
    if shutil.which("docker") is None or shutil.which("dockerd") is None:
        if sys.platform != "linux":
            raise Failure("missing: a container engine that answers 'docker version'")
        # docker-cli is a package of its own from Debian 13 on.
        install("docker.io", "docker-cli", "iptables", "ca-certificates")
    if os.geteuid() != 0:
        raise Failure("the container engine does not answer; start it, or run this as root")
    STATE.mkdir(parents=True, exist_ok=True)
    with step("Start the container engine"):
        if Path("/run/systemd/system").is_dir():
            run(["systemctl", "start", "docker"], log="engine-start")
            BY_SYSTEMD.touch()
        else:
            _spawn()
        deadline = time.monotonic() + START_SECONDS
        while not answers():
            if time.monotonic() > deadline:
                raise Failure(f"dockerd does not answer; its log is {LOG}")
            time.sleep(0.5)
    return True


def stop() -> None:
    """Stop the engine if we started it; leave any other alone."""
    if BY_SYSTEMD.exists():
        run(["systemctl", "stop", "docker.socket", "docker"], log="engine-stop")
        BY_SYSTEMD.unlink()
        say("stopped the container engine that was started here")
    pid = _own_pid()
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + START_SECONDS
    while _own_pid() is not None and time.monotonic() < deadline:
        time.sleep(0.5)
    say("stopped the container engine that was started here")


@contextmanager
def running() -> Iterator[None]:
    """Have an engine for the length of a block; stop it afterwards if the block started it."""
    started = start()
    try:
        yield
    finally:
        if started:
            stop()


def wait_for_boot(container: str) -> None:
    """Wait until systemd in a container has finished booting."""
    state = ""
    for _attempt in range(120):
        command = ["docker", "exec", container, "systemctl", "is-system-running"]
        state = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        if state in {"running", "degraded"}:
            # systemd leaves this to the host in a container; without it, credentials reach no unit.
            docker("exec", container, "mount", "--make-rshared", "/")
            return
        time.sleep(0.5)
    raise Failure(f"systemd in {container} is '{state}' after 60 s; see 'docker logs {container}'")


def _packaged(name: str) -> bool:
    command = ["apt-cache", "show", "--no-all-versions", name]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _spawn() -> None:
    with LOG.open("ab") as log:
        subprocess.Popen(
            ["dockerd", f"--pidfile={PID_FILE}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _own_pid() -> int | None:
    """Return the id of the dockerd that we started, if it still runs."""
    try:
        pid = int(PID_FILE.read_text(encoding="ascii"))
        command = Path(f"/proc/{pid}/comm").read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    return pid if command.strip() == "dockerd" else None


def _command_line() -> int | None:
    if sys.argv[1:] == ["start"]:
        start()
    elif sys.argv[1:] == ["stop"]:
        stop()
    else:
        raise Failure((__doc__ or "").strip())
    return None


if __name__ == "__main__":
    main(_command_line)
