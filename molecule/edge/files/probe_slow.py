# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Hold the edge's connections as slow and idle clients do; others must be served meanwhile.

Prints each check that fails, then exits with 1.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import sys
import time

from outside import SIGNED, ask, check, run

# Far above what the edge gives anybody: only a connection that is never closed takes that long.
PATIENCE_SECONDS = 120
HEADERS = f"POST /predict HTTP/1.1\r\nHost: {SIGNED}\r\n".encode()
BODY = HEADERS + b"X-API-Key: slow\r\nContent-Length: 1000\r\n\r\n{"
# What they are, what they say after the handshake, and how many there are.
CROWDS = (
    ("connections without a request", b"", 500),
    ("connections without a handshake", None, 100),
    ("headers that never end", HEADERS, 100),
    ("bodies that never come", BODY, 100),
)


def opened(first: bytes | None) -> socket.socket:
    """Connect and say ``first``; without it not even a handshake is made."""
    connection = socket.create_connection((SIGNED, 443), timeout=20)
    if first is not None:
        context = ssl.create_default_context(cafile="/root/signed.pem")
        connection = context.wrap_socket(connection, server_hostname=SIGNED)
        connection.sendall(first)
    return connection


def check_crowds() -> None:
    """All of them together keep nobody out, and the edge closes each of them by itself."""
    crowds = {what: [opened(first) for _number in range(count)] for what, first, count in CROWDS}
    statuses = [ask("GET", "/health").status for _try in range(10)]
    check("others are served meanwhile", statuses == [200] * 10, statuses)
    waiting = selectors.DefaultSelector()
    for what, connections in crowds.items():
        for connection in connections:
            connection.setblocking(False)
            waiting.register(connection, selectors.EVENT_READ, what)
    end = time.monotonic() + PATIENCE_SECONDS
    while waiting.get_map() and time.monotonic() < end:
        for key, _events in waiting.select(1):
            if has_ended(key.fileobj):
                waiting.unregister(key.fileobj)
                key.fileobj.close()
    left = sorted({key.data for key in waiting.get_map().values()})
    check("the edge closes all of them", not left, left)


def has_ended(connection: socket.socket) -> bool:
    """Whether there is nothing more to come; what came is read."""
    try:
        return not connection.recv(4096)
    except ssl.SSLWantReadError:
        return False
    except OSError:
        return True


if __name__ == "__main__":
    sys.exit(run([check_crowds]))
