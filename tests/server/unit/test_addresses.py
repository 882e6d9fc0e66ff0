# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The client's address behind exactly the trusted proxies, and the networks it is in."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.security.addresses import Networks, client_address, host_of, is_loopback

ADDRESSES = st.ip_addresses().map(str)
# Mapped addresses of IPv4 are held to networks of IPv4, see below.
UNMAPPED = ADDRESSES.filter(lambda address: not address.startswith("::ffff:"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "expected"),
    [
        # A Unix socket has no address: without a header somebody on this host calls.
        ("", None, 0, "127.0.0.1"),
        ("", None, 1, "127.0.0.1"),
        ("192.0.2.1", None, 1, "192.0.2.1"),
        # No proxy is trusted: the header is a client's own.
        ("", "192.0.2.1", 0, "127.0.0.1"),
        ("192.0.2.9", "127.0.0.1", 0, "192.0.2.9"),
        # One proxy: the last hop counts, what the client sent before it does not.
        ("", "192.0.2.1", 1, "192.0.2.1"),
        ("", "127.0.0.1, 192.0.2.1", 1, "192.0.2.1"),
        ("", "127.0.0.1,192.0.2.1", 1, "192.0.2.1"),
        ("10.0.0.1", "192.0.2.1", 1, "192.0.2.1"),
        ("", "127.0.0.1, 192.0.2.1, 10.0.0.2", 2, "192.0.2.1"),
        # Fewer hops than proxies, or no address: unknown.
        ("", "192.0.2.1", 2, ""),
        ("", "", 1, ""),
        ("", "unknown", 1, ""),
        ("", "192.0.2.1:443", 1, ""),
        ("", "127.0.0.1, _hidden", 1, ""),
        # An open quote, which would swallow the hops behind it in a list of RFC 9110.
        ("", '127.0.0.1, "a, 192.0.2.1', 1, "192.0.2.1"),
        # One address in several forms.
        ("", "::ffff:192.0.2.1", 1, "192.0.2.1"),
        ("", "2001:DB8:0::1", 1, "2001:db8::1"),
        ("fe80::1%eth0", None, 1, "fe80::1"),
    ],
)
def test_the_address_is_what_the_trusted_proxy_saw(
    peer: str, forwarded: str | None, proxies: int, expected: str
) -> None:
    assert client_address(peer, forwarded, proxies) == expected


@given(sent=st.text(), client=st.ip_addresses(), proxies=st.lists(ADDRESSES, max_size=3))
def test_nothing_that_a_client_sends_moves_its_address(
    sent: str, client: ipaddress.IPv4Address | ipaddress.IPv6Address, proxies: list[str]
) -> None:
    # Each proxy appends the one before it.
    hops = ", ".join([sent, str(client), *proxies])
    honest = client_address("", str(client), 1)
    assert client_address("", hops, len(proxies) + 1) == honest
    assert honest


@given(address=UNMAPPED, prefix=st.integers(0, 128))
def test_a_network_holds_what_the_standard_library_says(address: str, prefix: int) -> None:
    parsed = ipaddress.ip_address(address)
    network = ipaddress.ip_network((address, min(prefix, parsed.max_prefixlen)), strict=False)
    assert client_address("", address, 1) in Networks([str(network)])
    outside = ipaddress.ip_address("198.51.100.7")
    assert (str(outside) in Networks([str(network)])) is (outside in network)


@given(address=st.ip_addresses(v=4), prefix=st.integers(0, 32))
def test_mapped_and_plain_forms_of_an_address_are_one(
    address: ipaddress.IPv4Address, prefix: int
) -> None:
    network = ipaddress.ip_network((address, prefix), strict=False)
    mapped = f"::ffff:{network.network_address}/{96 + prefix}"
    for declared in (str(network), mapped):
        assert client_address(f"::ffff:{address}", None, 0) in Networks([declared])
        assert client_address(str(address), None, 0) in Networks([declared])
    assert is_loopback(f"::ffff:{address}") is address.is_loopback


@pytest.mark.parametrize("address", ["", "unknown", "127.0.0.1 ", "127.1", "0x7f000001"])
def test_an_unknown_address_is_in_no_network(address: str) -> None:
    assert address not in Networks(["0.0.0.0/0", "::/0"])
    assert not is_loopback(address)
    assert host_of(address) == "unknown"


def test_no_networks_are_false() -> None:
    assert not Networks([])
    assert Networks(["10.0.0.0/8"])


def test_a_host_of_ipv6_is_its_network() -> None:
    assert host_of("2001:db8::1") == host_of("2001:db8::ffff:1") == "2001:db8::/64"
    assert host_of("2001:db8:0:1::1") != host_of("2001:db8::1")
    assert host_of("192.0.2.1") == "192.0.2.1"
