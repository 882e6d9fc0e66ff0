# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Where a request comes from, behind exactly the trusted proxies, and which networks that is in.

An address is text in its shortest form, and empty where it cannot be told.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOCAL = "127.0.0.1"
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
# A host of IPv6 owns at least that much: by single addresses it would have 2^64 allowances.
_HOST_PREFIX = 64


def client_address(peer: str, forwarded: str | None, trusted_proxies: int) -> str:
    """Return the client's address; empty when the header has fewer hops than there are proxies.

    `peer` is the connection's other end, empty on a Unix socket; `forwarded` is X-Forwarded-For.
    Each trusted proxy appends the address that it saw, so only the last ones count; what stands
    before them was sent by the client. Without the header no proxy was passed, and the peer is
    the client; over a Unix socket that is a process of this host.

    Werkzeug's ProxyFix is not used: where hops are missing, or a client sent an open quote, it
    leaves the peer, which on a Unix socket would make a stranger local.
    """
    if trusted_proxies and forwarded is not None:
        hops = forwarded.split(",")
        return _canonical(hops[-trusted_proxies]) if len(hops) >= trusted_proxies else ""
    return _canonical(peer) if peer else LOCAL


def host_of(address: str) -> str:
    """Name what one client holds: an IPv4 address, a network /64 of IPv6, or `unknown`."""
    parsed = _parse(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(parsed), _HOST_PREFIX), strict=False))
    return address if parsed else "unknown"


def is_loopback(address: str) -> bool:
    """Whether the client runs on this host."""
    parsed = _parse(address)
    return parsed is not None and parsed.is_loopback


class Networks:
    """A set of networks in CIDR form."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = tuple(_unmap_network(network) for network in networks)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: str) -> bool:
        parsed = _parse(address)
        return parsed is not None and any(parsed in network for network in self._networks)


def _canonical(text: str) -> str:
    parsed = _parse(text.strip())
    return "" if parsed is None else str(parsed)


def _parse(text: str) -> Address | None:
    """Read an address; one of IPv4 that is mapped into IPv6 is one of IPv4."""
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address):
        # A zone names an interface of the host that reports it, and means nothing here.
        parsed = ipaddress.IPv6Address(int(parsed))
        return parsed.ipv4_mapped or parsed
    return parsed


def _unmap_network(text: str) -> Network:
    network = ipaddress.ip_network(text)
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        mapped = int(network.network_address) & 0xFFFF_FFFF
        return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED.prefixlen))
    return network
