# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The declaration as the controller reads it, with the files of the project."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import yaml
from ansible_collections.modelops.serving.plugins.module_utils._declaration import normalise


def complete_services(
    variables: Mapping[str, Any],
    declared: Any,
    overrides: Any,
    locks: Any,
    project_root: str,
    resolve: bool = True,
) -> dict[str, Any]:
    """Return the complete services, with locks and signatures read below ``project_root``.

    ``variables`` are those of the host, of which the public address is read. Without ``resolve``
    nothing is read from files, and both stay as they are declared.
    """

    def read_text(path: str) -> str:
        with open(os.path.join(project_root, path), encoding="utf-8") as file:
            return file.read()

    def read_lock(path: str) -> Any:
        try:
            return yaml.safe_load(read_text(path))
        except yaml.YAMLError as error:
            raise ValueError(str(error)) from error

    return normalise(
        declared, overrides, locks, read_lock, read_text, resolve, _public_address(variables)
    )


def _public_address(variables: Mapping[str, Any]) -> str:
    """Return ``modelops_public_address``, or else the address of the host's default route."""
    default_route = (variables.get("ansible_facts") or {}).get("default_ipv4") or {}
    return str(variables.get("modelops_public_address") or default_route.get("address") or "")


def reachable_mirrors(
    mirrors: Iterable[Mapping[str, Any]], endpoints: Mapping[str, str], tokens: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the mirrors, each with its endpoint and the token of that endpoint's host only.

    ``endpoints`` gives the endpoint by source where a mirror names none. ``tokens`` maps hosts, or
    ``host:port``, to tokens.
    """
    reachable = []
    for mirror in mirrors:
        endpoint = mirror["endpoint"] or endpoints.get(mirror["source"]) or ""
        address = urlsplit(endpoint)
        with_port = address.netloc.rpartition("@")[2].lower()
        token = tokens.get(with_port) or tokens.get(address.hostname or "") or ""
        reachable.append({**mirror, "endpoint": endpoint, "token": token})
    return reachable
