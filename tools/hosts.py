# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Containers that stand for hosts: systemd inside, this machine's CA bundle and wheels beside it.

Usage: python3 -m tools.hosts start|remove SCENARIO < platforms.json

The input is Molecule's list of platforms: ``name``, ``image`` and, where needed, ``command`` (for a
container without systemd), ``hostname``, ``networks`` (``name``, ``aliases``, ``ipv4_address``),
``volumes`` and ``environment``. A platform without networks joins the scenario's own, where all
hosts know each other by name.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from .engine import SYSTEMD_FLAGS, docker, wait_for_boot
from .machine import install_ca, run_flags
from .paths import CACHE, ROOT, VENVS
from .report import Failure, main

# What runs Ansible's commands in a host, and where its socket stands, here and there
AGENT = ROOT / "molecule" / "shared" / "host"
AGENT_IN_HOST = "/usr/local/lib/ansible-agent"
AGENT_SECONDS = 60
LIBRARY = "dev/lib/python*/site-packages/ansible"
LIBRARY_IN_HOST = "/usr/local/lib/ansible-core/ansible"
SOCKETS = CACHE / "agents"
SOCKETS_IN_HOST = "/srv/ansible-agent"


@dataclass(frozen=True)
class Network:
    """One attachment to a network."""

    name: str
    aliases: Sequence[str] = ()
    ipv4_address: str = ""


@dataclass(frozen=True)
class Host:
    """One container to start."""

    name: str
    image: str
    hostname: str = ""
    command: str = ""
    networks: Sequence[Network] = ()
    volumes: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_platform(cls, platform: Mapping[str, object], scenario: str) -> Host:
        """Read one of Molecule's platforms; keys that only Molecule needs are left aside."""
        known = {name: platform[name] for name in cls.__dataclass_fields__ if platform.get(name)}
        networks = [Network(**entry) for entry in platform.get("networks") or ()]  # type: ignore
        known["networks"] = networks or [Network(f"modelops-{scenario}")]
        return cls(**known)  # type: ignore[arg-type]


def start(host: Host) -> None:
    """Start one host and wait until it has booted."""
    flags = [f"--hostname={host.hostname or host.name}", *run_flags()]
    flags += [f"--volume={volume}" for volume in (*_agent_volumes(host.name), *host.volumes)]
    flags += [f"--env={name}={value}" for name, value in host.environment.items()]
    for network in host.networks[:1]:
        flags += [f"--network={network.name}", *_attach("--network-alias", network)]
    if not host.command:
        flags += SYSTEMD_FLAGS
    docker("run", "--detach", f"--name={host.name}", *flags, host.image, *host.command.split())
    for network in host.networks[1:]:
        docker("network", "connect", *_attach("--alias", network), network.name, host.name)
    if not host.command:
        wait_for_boot(host.name)
        install_ca(host.name)
        _start_agent(host.name)


def remove(names: Iterable[str], networks: Iterable[str] = ()) -> None:
    """Remove hosts and networks; what does not exist is passed over."""
    for name in names:
        if _known("container", name):
            docker("rm", "--force", "--volumes", name)
    for network in networks:
        if _known("network", network):
            docker("network", "rm", network)


def add_network(name: str, subnet: str = "") -> None:
    """Create a network whose packets fit this machine's own way out."""
    if _known("network", name):
        return
    flags = [f"--opt=com.docker.network.driver.mtu={_mtu()}"]
    flags += [f"--subnet={subnet}"] if subnet else []
    docker("network", "create", *flags, name)


def _agent_volumes(name: str) -> list[str]:
    sockets = SOCKETS / name
    sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The socket of an earlier host would keep the agent from making its own
    Path(sockets, "socket").unlink(missing_ok=True)
    library = next(VENVS.glob(LIBRARY), None)
    shared = {AGENT: AGENT_IN_HOST, library: LIBRARY_IN_HOST}
    return [
        *(f"{path}:{there}:ro" for path, there in shared.items() if path),
        f"{sockets}:{SOCKETS_IN_HOST}",
    ]


def _start_agent(name: str) -> None:
    if not any(VENVS.glob(LIBRARY)):
        return
    agent = [f"{AGENT_IN_HOST}/agent.py", f"{SOCKETS_IN_HOST}/socket"]
    docker("exec", "--detach", name, "python3", *agent)
    limit = time.monotonic() + AGENT_SECONDS
    while not Path(SOCKETS, name, "socket").exists():
        if time.monotonic() > limit:
            raise Failure(f"the agent in {name} does not listen after {AGENT_SECONDS} s")
        time.sleep(0.1)


def _attach(alias_flag: str, network: Network) -> list[str]:
    address = [f"--ip={network.ipv4_address}"] if network.ipv4_address else []
    return [*(f"{alias_flag}={alias}" for alias in network.aliases), *address]


def _known(kind: str, name: str) -> bool:
    command = ["docker", kind, "inspect", name]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _mtu() -> int:
    """Return the MTU of the interface with the default route; 1500 if there is none."""
    for line in Path("/proc/net/route").read_text(encoding="ascii").splitlines()[1:]:
        interface, destination = line.split()[:2]
        if destination == "00000000":
            return int(Path(f"/sys/class/net/{interface}/mtu").read_text(encoding="ascii"))
    return 1500


def _command_line() -> int | None:
    if len(sys.argv) != 3 or sys.argv[1] not in {"start", "remove"}:
        raise Failure((__doc__ or "").strip())
    verb, scenario = sys.argv[1:]
    hosts = [Host.from_platform(platform, scenario) for platform in json.load(sys.stdin)]
    networks = sorted({network.name for host in hosts for network in host.networks})
    if verb == "remove":
        remove((host.name for host in hosts), networks)
        return None
    for network in networks:
        add_network(network)
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(start, hosts))
    return None


if __name__ == "__main__":
    main(_command_line)
