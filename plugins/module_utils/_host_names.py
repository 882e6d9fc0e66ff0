# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names and addresses that a service is reached by."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from ._addresses import NAMES_OF_ADDRESSES

SSLIP = "sslip"


def domain_of_address(service: str, address: str) -> str:
    """Return a name that leads to ``address`` without a DNS entry of one's own.

    Raises ``ValueError`` where ``address`` is none.
    """
    digits = ipaddress.ip_address(address).exploded.replace(".", "-").replace(":", "-")
    return f"{service}.{digits}.{NAMES_OF_ADDRESSES}"


def reached_by(service: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the key and the value of each name and address of a service."""
    yield "domain", service["domain"]
    for key in ("aliases", "addresses"):
        for value in service[key]:
            yield key, value


def alternative_names(service: Mapping[str, Any]) -> list[str]:
    """Return what a certificate of the service must be for, as ``DNS:name`` and ``IP:address``."""
    return [
        f"{'IP' if key == 'addresses' else 'DNS'}:{value}" for key, value in reached_by(service)
    ]
