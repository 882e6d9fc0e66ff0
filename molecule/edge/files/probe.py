# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Look at the edge of a host from outside; print each check that fails, then exit with 1."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import sys
import time

from outside import (
    CLOSED,
    ISSUED,
    SIGNED,
    ask,
    ask_plainly,
    check,
    connect,
    handshake,
    reachable,
    run,
)

EXTRA_PORT = 18789


def open_stream(name: str) -> tuple[http.client.HTTPSConnection, http.client.HTTPResponse]:
    """Open a stream of the stand-in, which sends one event and waits."""
    connection = connect(SIGNED, 443)
    headers = {"X-Stream": name, "X-API-Key": "stream"}
    connection.request("POST", "/v1/chat/completions", body=b"{}", headers=headers)
    return connection, connection.getresponse()


def check_firewall() -> None:
    """SSH, HTTP, HTTPS and the extra port are open, another listening port is not."""
    for port, open_ in ((22, True), (80, True), (443, True), (EXTRA_PORT, True), (8000, False)):
        check(f"port {port} is {'open' if open_ else 'closed'}", reachable(port) == open_)


def check_plain_http() -> None:
    """Port 80 redirects, except for challenges; names that no service has get nothing."""
    answer = ask_plainly("/v1/models?x=1")
    check("port 80 redirects", answer.status == 301, answer)
    check(
        "to HTTPS",
        answer.headers["Location"] == f"https://{SIGNED}/v1/models?x=1",
        answer.headers["Location"],
    )
    answer = ask_plainly("/.well-known/acme-challenge/none")
    check("a challenge is not redirected", answer.status == 404, answer)
    with contextlib.suppress(ConnectionResetError):
        check("an unknown name gets nothing", False, ask_plainly("/", host="unknown.example.test"))


def check_tls() -> None:
    """TLS 1.2 and 1.3 with AEAD only, unknown names refused, HTTP/2 offered."""
    for version, accepted in (
        ("-tls1", False),
        ("-tls1_1", False),
        ("-tls1_2", True),
        ("-tls1_3", True),
    ):
        # Level 0 lets this client offer the old versions at all.
        said = handshake(SIGNED, version, "-cipher", "DEFAULT@SECLEVEL=0")
        check(
            f"{version} is {'accepted' if accepted else 'refused'}",
            ("Cipher is (NONE)" not in said) == accepted,
            said,
        )
    said = handshake(
        SIGNED, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA"
    )
    check("a CBC suite is refused", "Cipher is (NONE)" in said, said)
    for name in ("unknown.example.test", "other.example.test", ""):
        said = handshake(name)
        check(f"the handshake for '{name}' is refused", "unrecognized name" in said, said)
    check("HTTP/2 is offered", "ALPN protocol: h2" in handshake(SIGNED, "-alpn", "h2"))


def check_routes() -> None:
    """Only the service's paths and methods pass; errors have the service's form."""
    answer = ask(
        "GET",
        "/v1/models",
        X_Request_ID="abc-12345",
        X_Forwarded_For="203.0.113.9",
        Forwarded="for=x",
    )
    check("a route answers", answer.status == 200, answer)
    seen = {name.lower(): value for name, value in json.loads(answer.body)["headers"].items()}
    check(
        "a request id is taken over",
        answer.headers.get_all("X-Request-ID") == ["abc-12345"],
        str(answer.headers),
    )
    check("and passed on", seen["x-request-id"] == "abc-12345", seen)
    check(
        "the client's address is replaced",
        re.fullmatch(r"[\d.]+", seen["x-forwarded-for"]) is not None,
        seen,
    )
    check(
        "not spoofed", "203.0.113.9" not in answer.body.decode() and "forwarded" not in seen, seen
    )
    check("the scheme is passed on", seen["x-forwarded-proto"] == "https", seen)
    check(
        "HSTS is set",
        answer.headers["Strict-Transport-Security"] == "max-age=63072000",
        str(answer.headers),
    )
    check("the version is hidden", answer.headers["Server"] == "nginx", answer.headers["Server"])

    answer = ask("GET", "/health", X_Request_ID="bad id {}")
    made = answer.headers["X-Request-ID"]
    check(
        "a bad request id is replaced", re.fullmatch(r"[0-9a-f]{32}", made or "") is not None, made
    )

    for path in ("/", "/admin", "/v1/embeddings/x", "/v1", "/predict/../metrics"):
        answer = ask("GET", path)
        check(
            f"{path} is unknown",
            (answer.status, answer.error.get("code")) == (404, "route_not_found"),
            answer,
        )
    check(
        "an error names its request",
        answer.error["request_id"] == answer.headers["X-Request-ID"],
        answer,
    )
    check(
        "an error has HSTS too", "Strict-Transport-Security" in answer.headers, str(answer.headers)
    )
    for path in ("/metrics", "/openapi.json", "/playground"):
        check(f"{path} is hidden", ask("GET", path).error.get("code") == "route_not_found")
        check(f"operators see {path}", ask("GET", path, ISSUED).status == 200)

    for method, path, allow in (("GET", "/predict", "POST"), ("DELETE", "/v1/models", "GET, HEAD")):
        answer = ask(method, path)
        check(
            f"{method} {path} is refused",
            (answer.status, answer.error.get("code")) == (405, "method_not_allowed"),
            answer,
        )
        check(
            "and the answer says what is allowed",
            answer.headers["Allow"] == allow,
            str(answer.headers),
        )

    answer = ask("POST", "/predict", body=b"x" * 70000, X_API_Key="large")
    check(
        "a large body is refused",
        (answer.status, answer.error.get("code")) == (413, "too_large"),
        answer,
    )
    answer = ask("GET", "/v1/models", X_Answer="404", X_API_Key="passed")
    check(
        "the server's own error passes through",
        answer.status == 404 and b'"method"' in answer.body,
        answer,
    )
    check("and its limits", answer.headers["RateLimit"] is not None, str(answer.headers))
    answer = ask("GET", "/health", Host=ISSUED)
    check("a name is served by its own site", answer.status == 200, answer)
    answer = ask("GET", "/health", Host="unknown.example.test")
    check(
        "a name that differs from the handshake's is refused",
        answer.error.get("code") == "misdirected_request",
        answer,
    )


def check_streams() -> None:
    """An event arrives before the next one is made, and the server learns that a client left."""
    connection, stream = open_stream("stepped")
    event = stream.readline() + stream.readline()
    check("the first event arrives alone", event == b"data: first\n\n", event)
    check("the next is asked for", ask("GET", "/health", X_Release="stepped").status == 200)
    rest = stream.read()
    check("and arrives", rest == b"data: second\n\n", rest)
    connection.close()

    connection, stream = open_stream("broken")
    stream.readline()
    stream.close()
    connection.close()
    left: list[str] = []
    for _attempt in range(50):
        left = json.loads(ask("GET", "/health").body)["left"]
        if "broken" in left:
            break
        time.sleep(0.1)
    check("the server learns within seconds that a client left", "broken" in left, left)


def check_websocket() -> None:
    """A WebSocket passes at its path, and an upgrade to nothing else and nowhere else does."""
    connection = connect(SIGNED, 443)
    connection.connect()
    upgrade = (
        f"GET /ws HTTP/1.1\r\nHost: {SIGNED}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "X-API-Key: socket\r\n\r\n"
    )
    connection.sock.sendall(upgrade.encode())
    incoming = connection.sock.makefile("rb")
    head = b"".join(iter(incoming.readline, b"\r\n"))
    # The answer to this key in RFC 6455, 1.3
    agreed = head.startswith(b"HTTP/1.1 101") and b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    check("a WebSocket opens", agreed, head)
    if agreed:
        for text in (b"first", b"second"):
            # A mask of zeros leaves the text as it is.
            connection.sock.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
            echo = incoming.read(2 + len(text))
            check("a text comes back", echo == bytes([0x81, len(text)]) + text, echo)
    connection.close()

    for path, protocol in (("/v1/models", "websocket"), ("/ws", "h2c")):
        sent = {"Upgrade": protocol, "Connection": "Upgrade", "X_API_Key": "upgrade"}
        answer = ask("GET", path, **sent)
        seen = {name.lower() for name in json.loads(answer.body)["headers"]}
        check(f"{path} is not upgraded to {protocol}", not seen & {"upgrade", "connection"}, seen)
    answer = ask("POST", "/ws", X_API_Key="upgrade")
    check("/ws takes GET only", answer.headers["Allow"] == "GET", str(answer.headers))


def check_extra_port() -> None:
    """The extra port has the same routes, limits and allowlist."""
    answer = ask("GET", "/v1/models", port=EXTRA_PORT, X_API_Key="extra")
    check("the extra port answers", answer.status == 200, answer)
    headers = json.loads(answer.body)["headers"]
    check("its number is passed on", headers["X-Forwarded-Port"] == str(EXTRA_PORT), headers)
    for path in ("/metrics", "/admin"):
        answer = ask("GET", path, port=EXTRA_PORT)
        check(f"{path} is hidden there, too", answer.error.get("code") == "route_not_found", answer)
    answers = [ask("GET", "/v1/models", port=EXTRA_PORT, X_API_Key="extra") for _i in range(6)]
    check("its limits are shared", 429 in [answer.status for answer in answers])
    for port in (443, EXTRA_PORT):
        answer = ask("GET", "/health", CLOSED, port=port, X_Forwarded_For="192.0.2.5")
        check(
            f"port {port} refuses who is not on the allowlist",
            (answer.status, answer.error.get("code")) == (403, "address_not_allowed"),
            answer,
        )
    said = handshake("unknown.example.test", port=EXTRA_PORT)
    check("an unknown name is refused there, too", "unrecognized name" in said, said)


def check_limits() -> None:
    """A burst passes, more gets 429 with Retry-After, and each credential counts alone."""
    begun = time.monotonic()
    answers = [ask("GET", "/v1/models", X_API_Key="burst") for _i in range(12)]
    # One and the burst of four, and one more for each ten seconds that it took.
    allowed = 5 + int((time.monotonic() - begun) / 10) + 1
    passed = [answer.status for answer in answers].count(200)
    check("the burst passes, no more", 5 <= passed <= allowed, (passed, allowed))
    last = next((answer for answer in answers if answer.status == 429), answers[-1])
    check(
        "the refusal is an error in the service's form",
        last.error.get("code") == "rate_limited",
        last,
    )
    check("and says when to come back", last.headers["Retry-After"] == "10", str(last.headers))
    check(
        "another credential is not affected",
        ask("GET", "/v1/models", X_API_Key="other").status == 200,
    )
    answer = ask("GET", "/v1/models", Authorization="Bearer burst")
    check("the same credential in the other header is", answer.status == 429, answer)
    answer = ask("GET", "/v1/models", Authorization="Bearer burst", X_API_Key="junk")
    check("a second header gives no second allowance", answer.status == 429, answer)
    check("health is not limited", all(ask("GET", "/health").status == 200 for _i in range(12)))
    time.sleep(11)
    check("the allowance comes back", ask("GET", "/v1/models", X_API_Key="burst").status == 200)


def check_hidden() -> None:
    """What is for this host and its log alone is not shown outside."""
    answer = ask("GET", "/v1/models", X_API_Key="hidden")
    check("whose key it was is not told", "X-Client-Name" not in answer.headers, answer)
    check("the port of the status is closed", not reachable(8081))
    for host in (SIGNED, "localhost"):
        answer = ask("GET", "/stub_status", Host=host)
        check(f"{host} has no status", answer.status in (404, 421), answer)


def check_issued() -> None:
    """A certificate of the authority holds."""
    check("the issued certificate is verified", ask("GET", "/health", ISSUED).status == 200)


if __name__ == "__main__":
    sys.exit(
        run(
            [
                check_firewall,
                check_plain_http,
                check_tls,
                check_routes,
                check_streams,
                check_websocket,
                check_extra_port,
                check_limits,
                check_hidden,
                check_issued,
            ]
        )
    )
