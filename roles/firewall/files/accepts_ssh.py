# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Try whether SSH comes through a file of nftables rules, between two network namespaces of our own.

The rules are loaded into an empty namespace, and from another one a connection to the port is opened
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


def address_in(network):
    """Return an address of a network that a client may have."""
    if ipaddress.ip_address(USUAL[network.version]) in network:
        return USUAL[network.version]
    return str(network[1 if network.num_addresses > 1 else 0])


def link(device, own, peers):
    """Give a device its address in each family, and the way to the others."""
    ip("link", "set", device, "up")
    for address in own:
        length, flags = ("128", ["nodad"]) if ":" in address else ("32", [])
        ip("address", "add", f"{address}/{length}", "dev", device, *flags)
    for peer in peers:
        ip("route", "add", peer, "dev", device)


def reaches(source, port):
    """Return whether a connection from ``source`` to the server comes about."""
    version = 6 if ":" in source else 4
    with contextlib.closing(socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET)) as tried:
        tried.settimeout(SECONDS)
        tried.bind((source, 0))
        try:
            tried.connect((SERVER[version], port))
        except OSError:
            return False
    return True


def client(port, sources, servers, ready, go):
    """In a namespace of its own: wait for the link, then return the first source that is cut off."""
    enter_empty_network()
    os.write(ready, b"1")
    os.read(go, 1)
    link("modelops-out", sources, servers)
    return next((source for source in sources if not reaches(source, port)), "")


def main():
    """Return the exit status: 0 where SSH comes through from each network."""
    file, port, networks = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    sources = [address_in(ipaddress.ip_network(network)) for network in networks]
    if not os.path.exists("/proc/net/if_inet6"):
        sources = [source for source in sources if ":" not in source]
    servers = sorted({SERVER[6 if ":" in source else 4] for source in sources})
    ready, set_ready = os.pipe()
    go, set_go = os.pipe()
    answer, set_answer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(set_go)
        os.write(set_answer, client(port, sources, servers, set_ready, go).encode() or b"-")
        os._exit(0)
    os.close(set_answer)
    os.close(set_ready)
    enter_empty_network()
    os.read(ready, 1)
    ip("link", "add", "modelops-in", "type", "veth", "peer", "name", "modelops-out", "netns", str(child))
    link("modelops-in", servers, sources)
    subprocess.run(["nft", "--file", file], check=True)
    listeners = [socket.create_server((server, port), family=socket.AF_INET6 if ":" in server else socket.AF_INET)
                 for server in servers]
    os.write(set_go, b"1")
    cut_off = os.read(answer, 64).decode()
    os.waitpid(child, 0)
    for listener in listeners:
        listener.close()
    if cut_off == "-":
        return 0
    if cut_off:
        print(f"the rules refuse SSH on port {port} from {cut_off}: they are not loaded; correct firewall_extra_rules",
              file=sys.stderr)
    return 1


sys.exit(main())
