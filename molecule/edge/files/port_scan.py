# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Connect to every TCP port of a host, and compare those that answer with those that may.

Usage: port_scan.py HOST PORT... (the ports that must be open; all others must be closed)
"""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import sys
import time
from collections.abc import Iterable, Sequence

# A firewall that drops says nothing. Within this time a lost packet has been sent once more.
SECONDS = 1.5
AT_ONCE = 8192


def open_ports(address: str, ports: Sequence[int]) -> set[int]:
    """Return those of ``ports``, ``AT_ONCE`` at most, that take a connection."""
    with contextlib.ExitStack() as sockets:
        asked = {}
        watch = select.epoll()
        sockets.callback(watch.close)
        for port in ports:
            tried = sockets.enter_context(socket.socket())
            tried.setblocking(False)
            tried.connect_ex((address, port))
            watch.register(tried, select.EPOLLOUT | select.EPOLLONESHOT)
            asked[tried.fileno()] = (port, tried)
        answered = []
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            answered += [descriptor for descriptor, _events in watch.poll(0.1, AT_ONCE)]
        return {
            asked[descriptor][0]
            for descriptor in answered
            if asked[descriptor][1].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        }


def scan(address: str, wanted: Iterable[int]) -> set[int]:
    """Return the ports that are open; those that differ from ``wanted`` are asked once more."""
    found: set[int] = set()
    for first in range(1, 65536, AT_ONCE):
        found |= open_ports(address, range(first, min(first + AT_ONCE, 65536)))
    doubtful = found ^ set(wanted)
    return (found - doubtful) | open_ports(address, sorted(doubtful)[:AT_ONCE])


def main() -> int:
    """Scan, and say what differs."""
    host, wanted = sys.argv[1], {int(port) for port in sys.argv[2:]}
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 2 * AT_ONCE), most))
    found = scan(socket.gethostbyname(host), wanted)
    print(f"open on {host}: {sorted(found)}")
    if found != wanted:
        print(f"expected: {sorted(wanted)}", file=sys.stderr)
    return 0 if found == wanted else 1


if __name__ == "__main__":
    sys.exit(main())
