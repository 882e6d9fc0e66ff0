# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Look at the edge from behind a proxy that it trusts: passwords, connections, canary, names.

Usage: probe_proxy.py ADDRESS; the service `signed` also has this address of the host, and the name
alias.example.test. Prints each check that fails, then exits with 1.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from outside import CLOSED, ISSUED, SIGNED, Answer, ask, check, connect, handshake, run

ADDRESS = sys.argv[1] if len(sys.argv) > 1 else ""
ALIAS = "alias.example.test"
# On the allowlist of `closed`
ADMITTED, STRANGER = "203.0.113.7", "198.51.100.9"
ADA = "Basic " + base64.b64encode(b"ada:the first programmer").decode()
EVE = "Basic " + base64.b64encode(b"ada:of another garden").decode()
CONNECTIONS_OF_ADDRESS = 20
STREAM = "/v1/chat/completions"
CLIENTS = [str(number) for number in range(100)]


def call(path: str, key: str = "any", client: str = ADMITTED, **headers: str) -> Answer:
    """Ask `closed` with its password and a key, as a client with that address."""
    sent = {"Authorization": ADA, "X_API_Key": key, "X_Forwarded_For": client, **headers}
    return ask("GET", path, CLOSED, **sent)


def seen(answer: Answer) -> dict[str, Any]:
    """What reached the server."""
    request = json.loads(answer.body)
    headers = {name.lower(): value for name, value in request["headers"].items()}
    return {**headers, "socket": request["socket"]}


@contextmanager
def held(key: str, path: str = STREAM) -> Iterator[int]:
    """Hold a stream or a WebSocket of `signed`; yield its status."""
    connection = connect(SIGNED, 443)
    headers = {"X-API-Key": key, "X-Forwarded-For": ADMITTED, "X-Stream": f"held-{key}"}
    if path == "/ws":
        headers |= {"Upgrade": "websocket", "Connection": "Upgrade"}
        headers |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
        connection.request("GET", path, headers=headers)
    else:
        connection.request("POST", path, body=b"{}", headers=headers)
    response = connection.getresponse()
    try:
        yield response.status
    finally:
        response.close()
        connection.close()


def check_passwords() -> None:
    """Nginx asks for a password, keeps it to itself, and passes the key on."""
    for what, sent in (("no password", ""), ("a wrong one", EVE), ("a key", "Bearer any")):
        answer = call("/v1/models", Authorization=sent)
        refused = (answer.status, answer.error.get("code")) == (401, "invalid_credentials")
        check(f"{what} is refused", refused, answer)
        asked = answer.headers["WWW-Authenticate"]
        check("and a password asked for", asked == 'Basic realm="closed"', str(answer.headers))
        check("with HSTS", "Strict-Transport-Security" in answer.headers, str(answer.headers))
    answer = call("/v1/models", key="the-key")
    check("the right password passes", answer.status == 200, answer)
    request = seen(answer)
    check("it stays with nginx", "authorization" not in request, request)
    check("the key is passed on", request.get("x-api-key") == "the-key", request)
    answer = call("/health", Authorization="")
    check("a probe needs no password", answer.status == 200, answer)


def check_addresses() -> None:
    """The client's address is what the trusted proxy says, and no more than that."""
    request = seen(call("/v1/models"))
    check("the server sees the client", request["x-forwarded-for"] == ADMITTED, request)
    check("in both headers", request["x-real-ip"] == ADMITTED, request)
    request = seen(call("/v1/models", client=f"{STRANGER}, {ADMITTED}"))
    check("one hop is believed", request["x-forwarded-for"] == ADMITTED, request)
    for what, client in (
        ("a stranger", STRANGER),
        ("a stranger who names another", f"{ADMITTED}, {STRANGER}"),
        ("nonsense", "nobody"),
    ):
        answer = call("/v1/models", client=client)
        check(f"{what} is not on the allowlist", answer.status == 403, answer)
    answer = ask("GET", "/metrics", SIGNED, X_Forwarded_For="127.0.0.1")
    check("a trusted proxy says who is an operator", answer.status == 200, answer)


def check_connections() -> None:
    """A key has so many requests at once, an address more; streams and WebSockets count."""
    with ExitStack() as stack:
        statuses = [stack.enter_context(held("busy", path)) for path in (STREAM, "/ws")]
        check("two connections are held", statuses == [200, 101], statuses)
        answer = ask("GET", "/v1/models", X_API_Key="busy")
        refused = (answer.status, answer.error.get("code")) == (429, "rate_limited")
        check("a third of this key is refused", refused, answer)
        check("with Retry-After", answer.headers["Retry-After"] == "1", str(answer.headers))
        check("another key is served", ask("GET", "/v1/models", X_API_Key="idle").status == 200)
    statuses = [ask("GET", "/v1/models", X_API_Key="busy").status for _try in range(50)]
    check("a closed connection is free again", statuses[-1] == 200, statuses)
    with ExitStack() as stack:
        keys = [f"many-{number}" for number in range(CONNECTIONS_OF_ADDRESS)]
        found = {stack.enter_context(held(key)) for key in keys}
        check("many keys of an address are served", found == {200}, found)
        answer = ask("GET", "/v1/models", X_API_Key="more", X_Forwarded_For=ADMITTED)
        check("one more of the address is refused", answer.status == 429, answer)
        answer = ask("GET", "/v1/models", X_API_Key="more", X_Forwarded_For=STRANGER)
        check("another address is served", answer.status == 200, answer)


def check_canary() -> None:
    """A share of the clients meets the other service, and each client the same one every time."""
    met = {key: seen(call("/v1/models", key=key))["socket"] for key in CLIENTS}
    other = sum("issued" in path for path in met.values())
    # 25 of 100 are expected; the hash of these keys decides, so that it is the same every time.
    check("a quarter meets the canary", 12 <= other <= 40, other)
    again = {key: seen(call("/v1/models", key=key))["socket"] for key in CLIENTS[:20]}
    check("each client stays", all(met[key] == again[key] for key in again), again)
    health = {seen(call("/health", key=key))["socket"] for key in CLIENTS[:20]}
    check("probes meet the service itself", ["closed" in path for path in health] == [True], health)


def check_names() -> None:
    """An alias is redirected to itself; an address needs no name in the handshake; others do."""
    for host in (ALIAS, ADDRESS):
        plain = http.client.HTTPConnection(SIGNED, 80, timeout=10)
        plain.request("GET", "/v1/models?x=1", headers={"Host": host})
        place = plain.getresponse().headers["Location"]
        check(f"{host} is redirected to itself", place == f"https://{host}/v1/models?x=1", place)
    for host, status in ((ADDRESS, b"200"), ("unknown.example.test", b"421")):
        line = ask_unnamed(host)
        check(f"without a name in the handshake, {host} gets {status!r}", status in line, line)
    said = handshake("unknown.example.test")
    check("an unknown name in the handshake is refused", "unrecognized name" in said, said)
    check("the others keep theirs", ask("GET", "/health", ISSUED).status == 200)


def ask_unnamed(host: str) -> bytes:
    """Ask for `host` after a handshake that names nothing; return the status line."""
    context = ssl.create_default_context(cafile="/root/signed.pem")
    context.check_hostname = False
    with (
        socket.create_connection((ADDRESS, 443), timeout=10) as raw,
        context.wrap_socket(raw) as secure,
    ):
        secure.sendall(f"GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        return secure.makefile("rb").readline()


if __name__ == "__main__":
    sys.exit(run([check_passwords, check_addresses, check_connections, check_canary, check_names]))
