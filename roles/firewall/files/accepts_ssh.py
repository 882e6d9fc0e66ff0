# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Try whether SSH comes through a file of nftables rules, between two network namespaces.

The rules are loaded into an empty namespace. From another one, a connection to the port is opened
from an address of each network. Nothing of the host's own network is touched.

Usage: accepts_ssh.py FILE PORT NETWORK...
"""

import contextlib
import ctypes
import ipaddress
import os
import socket
import subprocess
import sys

# Reserved for documentation, so that nobody's network is meant.
SERVER = {4: "198.51.100.1", 6: "2001:db8:ffff::1"}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
USUAL = {4: "192.0.2.1", 6: "2001:db8::1"}
NEW_NETWORK = 0x40000000
SECONDS = 2


def enter_empty_network():
    """Move this process into a network namespace of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_NETWORK) != 0:
        raise SystemExit("a network namespace can't be made: " + os.strerror(ctypes.get_errno()))


def ip(*words):
    """Run one ip command."""
    subprocess.run(["ip", *words], check=True)


def version_of(address):
    """Return 4 or 6."""
    return ipaddress.ip_address(address).version


def address_in(network):
    """Return an address of a network that a client may have."""
    if ipaddress.ip_address(USUAL[network.version]) in network:
        return USUAL[network.version]
    return str(network[1 if network.num_addresses > 1 else 0])


def link(device, own, peers):
    """Give a device its address in each family, and the way to the others."""
    ip("link", "set", device, "up")
    for address in own:
        length, flags = ("128", ["nodad"]) if version_of(address) == 6 else ("32", [])
        ip("address", "add", f"{address}/{length}", "dev", device, *flags)
    for peer in peers:
        ip("route", "add", peer, "dev", device)


def reaches(source, port):
    """Return whether a connection from ``source`` to the server comes about."""
    with socket.socket(FAMILY[version_of(source)]) as tried:
        tried.settimeout(SECONDS)
        tried.bind((source, 0))
        try:
            tried.connect((SERVER[version_of(source)], port))
        except OSError:
            return False
    return True


def client(port, sources, servers, ready, go, answer):
    """From a namespace of its own, tell the first of ``sources`` that is cut off, or ``-``."""
    enter_empty_network()
    os.write(ready, b"1")
    if os.read(go, 1):
        link("modelops-out", sources, servers)
        cut_off = next((source for source in sources if not reaches(source, port)), "-")
        os.write(answer, cut_off.encode())


def main():
    """Return 0 where SSH comes through from each network; else say why not, and return 3."""
    file, port, networks = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    sources = [address_in(ipaddress.ip_network(network)) for network in networks]
    if not os.path.exists("/proc/net/if_inet6"):
        sources = [source for source in sources if version_of(source) == 4]
    servers = {version_of(source): SERVER[version_of(source)] for source in sources}
    ready, set_ready = os.pipe()
    go, set_go = os.pipe()
    answer, set_answer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(set_go)
        client(port, sources, servers.values(), set_ready, go, set_answer)
        os._exit(0)
    os.close(set_answer)
    enter_empty_network()
    os.read(ready, 1)
    peer = ("peer", "name", "modelops-out", "netns", str(child))
    ip("link", "add", "modelops-in", "type", "veth", *peer)
    link("modelops-in", servers.values(), sources)
    loaded = subprocess.run(["nft", "--file", file], capture_output=True, text=True, check=False)
    if loaded.returncode != 0:
        print("nftables refuses the table: " + loaded.stderr)
        return 3
    with contextlib.ExitStack() as listeners:
        for version, address in servers.items():
            server = socket.create_server((address, port), family=FAMILY[version])
            listeners.enter_context(server)
        os.write(set_go, b"1")
        cut_off = os.read(answer, 64).decode()
    if cut_off == "-":
        return 0
    print(f"SSH on port {port} does not come through from {cut_off or networks}")
    return 3


sys.exit(main())
