# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Look at a host from outside; print what is not as it should be, then exit with 1.

Usage: look.py ADDRESS NAME AUTHORITY; the service NAME admits no address of this network.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import sys

ADDRESS, NAME, AUTHORITY = sys.argv[1:]


def shake_hands(name: str) -> ssl.SSLSocket:
    """Connect and verify the certificate for ``NAME``, whatever ``name`` is asked for."""
    context = ssl.create_default_context(cafile=AUTHORITY)
    context.check_hostname = name == NAME
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context.wrap_socket(socket.create_connection((ADDRESS, 443), 10), server_hostname=name)


def look() -> list[str]:
    """Return what is wrong."""
    problems = []
    with shake_hands(NAME) as known:
        if (known.version(), known.selected_alpn_protocol()) != ("TLSv1.3", "h2"):
            problems.append(f"TLS: {known.version()}, {known.selected_alpn_protocol()}")
    try:
        shake_hands("unknown.example.test").close()
        problems.append("a name that no service has is served")
    except ssl.SSLError:
        pass
    connection = http.client.HTTPConnection(ADDRESS, 80, timeout=10)
    connection.request("GET", "/health", headers={"Host": NAME})
    answer = connection.getresponse()
    if (answer.status, answer.headers["Location"]) != (301, f"https://{NAME}/health"):
        problems.append(f"port 80: {answer.status} {answer.headers['Location']}")
    secure = http.client.HTTPSConnection(NAME)
    secure.sock = ssl.create_default_context(cafile=AUTHORITY).wrap_socket(
        socket.create_connection((ADDRESS, 443), 10), server_hostname=NAME
    )
    secure.request("GET", "/health")
    answer = secure.getresponse()
    code = json.loads(answer.read())["error"]["code"]
    if (answer.status, code) != (403, "address_not_allowed"):
        problems.append(f"port 443: {answer.status} {code}")
    if not answer.headers["Strict-Transport-Security"]:
        problems.append("no Strict-Transport-Security")
    return problems


if __name__ == "__main__":
    found = look()
    print("\n".join(found) or "all is as it should be")
    sys.exit(1 if found else 0)
