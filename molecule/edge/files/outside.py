# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What the looks at the edge of a host from outside have in common.

They need /root/<service>.pem, the root of each service.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

SIGNED, ISSUED, CLOSED = "signed.example.test", "issued.example.test", "closed.example.test"
ROOTS = {SIGNED: "/root/signed.pem", ISSUED: "/root/issued.pem", CLOSED: "/root/closed.pem"}
failures: list[str] = []


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The error in the service's form; empty if the body has another."""
        try:
            error = json.loads(self.body)["error"]
        except (ValueError, KeyError):
            return {}
        return error if set(error) == {"message", "type", "code", "param", "request_id"} else {}


def check(what: str, holds: bool, seen: object = "") -> None:
    """Note a failure."""
    if not holds:
        failures.append(f"{what}: {seen!r}")


def connect(domain: str, port: int) -> http.client.HTTPSConnection:
    """Return a connection whose chain and name will be verified."""
    context = ssl.create_default_context(cafile=ROOTS[domain])
    return http.client.HTTPSConnection(domain, port, timeout=20, context=context)


def ask(
    method: str,
    path: str,
    domain: str = SIGNED,
    body: bytes | None = None,
    port: int = 443,
    **headers: str,
) -> Answer:
    """Send one request over HTTPS."""
    connection = connect(domain, port)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body=body, headers=sent)
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


def ask_plainly(path: str, host: str = SIGNED) -> Answer:
    """Send one request over HTTP."""
    connection = http.client.HTTPConnection(SIGNED, 80, timeout=10)
    connection.request("GET", path, headers={"Host": host})
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


def handshake(name: str, *flags: str, port: int = 443) -> str:
    """Return what openssl says about a handshake for ``name``, or for none if it is empty."""
    names = ["-servername", name] if name else ["-noservername"]
    command = ["openssl", "s_client", "-connect", f"{SIGNED}:{port}", *names, *flags]
    done = subprocess.run(command, input=b"", capture_output=True, check=False, timeout=20)
    return (done.stdout + done.stderr).decode(errors="replace")


def reachable(port: int) -> bool:
    """Return whether the port takes connections."""
    try:
        socket.create_connection((SIGNED, port), timeout=3).close()
    except OSError:
        return False
    return True


def run(parts: Iterable[Callable[[], None]]) -> int:
    """Run all checks, print those that fail, and return the exit status."""
    for part in parts:
        part()
    print("\n".join(failures) or "all checks passed")
    return 1 if failures else 0
