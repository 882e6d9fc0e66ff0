# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Streams through Nginx, against a service whose engine answers word by word when it is told to.

Usage: stream_probe.py CA KEY (on the host: the engine's control is reachable there only)

Checks that the first event reaches the client before the engine may make the second, and that a
client that goes away ends the computation soon.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import sys
import time
import urllib.request

NAME = "stepped.example.test"
CONTROL = "http://127.0.0.1:9321"
BODY = {
    "model": "stepped",
    "messages": [{"role": "user", "content": "Count."}],
    "stream": True,
    "max_tokens": 64,
}


class Connection(http.client.HTTPSConnection):
    """HTTPS to Nginx on this host, under the service's own name."""

    def connect(self) -> None:
        plain = socket.create_connection(("127.0.0.1", 443), timeout=20)
        self.sock = self._context.wrap_socket(plain, server_hostname=NAME)


def control(path: str, method: str = "POST") -> dict[str, int]:
    request = urllib.request.Request(CONTROL + path, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def state() -> dict[str, int]:
    return control("/state", "GET")


def open_stream(ca: str, key: str) -> tuple[Connection, http.client.HTTPResponse]:
    connection = Connection(NAME, context=ssl.create_default_context(cafile=ca))
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    # The status comes with the first word, so that an early failure has one of its own.
    control("/step")
    connection.request("POST", "/v1/chat/completions", json.dumps(BODY), headers)
    answer = connection.getresponse()
    assert answer.status == 200, (answer.status, answer.read())
    return connection, answer


def next_text(answer: http.client.HTTPResponse) -> str | None:
    """Text of the next event that has some; None at the end."""
    while line := answer.readline():
        if not line.startswith(b"data: "):
            continue
        if line.strip() == b"data: [DONE]":
            return None
        choices = json.loads(line[6:])["choices"]
        if choices and choices[0]["delta"].get("content"):
            return str(choices[0]["delta"]["content"])
    return None


def first_event_is_not_held_back(ca: str, key: str) -> None:
    before = state()["sent"]
    connection, answer = open_stream(ca, key)
    assert next_text(answer) == "word0 "
    assert state()["sent"] == before + 1, "the engine has made one word only"
    print("the first event arrived while the engine had made one word")
    for number in range(1, 4):
        control("/step")
        assert next_text(answer) == f"word{number} "
    assert next_text(answer) is None
    connection.close()


def a_client_that_leaves_ends_the_computation(ca: str, key: str) -> None:
    before = state()["aborted"]
    connection, answer = open_stream(ca, key)
    assert next_text(answer) == "word0 "
    left = time.monotonic()
    connection.sock.close()
    answer.close()
    while state()["aborted"] == before:
        assert time.monotonic() - left < 10, "the computation goes on"
        time.sleep(0.02)
    seconds = time.monotonic() - left
    print(f"the computation ended {seconds:.2f} s after the client had gone")
    assert seconds < 3.0, seconds


if __name__ == "__main__":
    first_event_is_not_held_back(*sys.argv[1:3])
    a_client_that_leaves_ends_the_computation(*sys.argv[1:3])
