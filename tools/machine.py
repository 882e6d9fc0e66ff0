# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What containers must take over from this machine: CA bundle, proxies, package index, wheels.

All of it is read from the standard environment variables; on a machine that sets none of them,
nothing is added. The result goes to generated files, never into the repository.
"""

from __future__ import annotations

import json
import os
import runpy
from pathlib import Path

from .engine import docker
from .paths import ROOT

# The collection keeps every public address in one file; the tools have none of their own.
_ADDRESSES = ROOT / "plugins" / "module_utils" / "_addresses.py"
PUBLIC: dict[str, str] = runpy.run_path(str(_ADDRESSES))["addresses"]()
CA_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy")
CA_IN_CONTAINER = "/usr/local/share/ca-certificates/machine.crt"
SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def ca_bundle() -> Path | None:
    """Return the CA bundle that this machine's programs are told to use, if there is one."""
    for name in CA_VARIABLES:
        path = Path(os.environ.get(name) or "/nonexistent")
        if path.is_file():
            return path.resolve()
    return None


def wheel_folders() -> list[str]:
    """Return the local folders of PIP_FIND_LINKS."""
    entries = os.environ.get("PIP_FIND_LINKS", "").split()
    return [entry for entry in entries if Path(entry).is_dir()]


def has_torch_wheel() -> bool:
    """Return whether one of the wheel folders offers torch, so that no index is needed for it."""
    return any(next(Path(folder).glob("torch-*.whl"), None) for folder in wheel_folders())


def proxies() -> dict[str, str]:
    """Return the proxy variables of this machine, in the lower-case spelling."""
    found = {name: os.environ.get(name) or os.environ.get(name.upper()) for name in PROXY_VARIABLES}
    return {name: value for name, value in found.items() if value}


def run_flags() -> list[str]:
    """Return the flags for ``docker run`` that give a container what this machine has."""
    flags = [f"--volume={folder}:{folder}:ro" for folder in wheel_folders()]
    flags += [f"--env={name}={value}" for name, value in proxies().items()]
    return flags


def install_ca(container: str) -> None:
    """Make a running container trust what this machine trusts."""
    bundle = ca_bundle()
    if bundle is None:
        return
    docker("cp", str(bundle), f"{container}:{CA_IN_CONTAINER}")
    docker("exec", container, "update-ca-certificates")


def variables() -> dict[str, object]:
    """Return the play's variables that adapt the roles to this machine."""
    addresses = {}
    if os.environ.get("PIP_INDEX_URL"):
        addresses["package_index"] = os.environ["PIP_INDEX_URL"]
    if has_torch_wheel():
        addresses["torch_cpu_index"] = ""
    return {
        "modelops_addresses": addresses,
        "modelops_ca_bundle": SYSTEM_BUNDLE if ca_bundle() else "",
        "python_env_find_links": wheel_folders(),
    }


def write_variables(path: Path) -> Path:
    """Write ``variables()`` as a file for ``ansible-playbook --extra-vars @FILE``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(variables(), indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return path
