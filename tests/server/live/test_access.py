# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Addresses as gunicorn hands them over from a Unix socket."""

from __future__ import annotations

import pytest

from gunicorn_process import Gunicorn, UnixConnection

pytestmark = pytest.mark.live


def status_of(server: Gunicorn, *headers: tuple[str, str]) -> int:
    connection = UnixConnection(server.socket)
    try:
        connection.putrequest("GET", "/openapi.json")
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_probe_on_the_host_is_local(server: Gunicorn) -> None:
    assert status_of(server) == 200


def test_a_client_behind_the_proxy_is_not(server: Gunicorn) -> None:
    assert status_of(server, ("X-Forwarded-For", "192.0.2.1")) == 404
    assert status_of(server, ("X-Forwarded-For", "127.0.0.1")) == 200


@pytest.mark.parametrize(
    "sent",
    [
        [("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-For", "192.0.2.1")],
        [("X-Forwarded-For", "127.0.0.1, 192.0.2.1")],
        [("X-Forwarded-For", '127.0.0.1, "a, 192.0.2.1')],
        [("X_Forwarded_For", "127.0.0.1"), ("X-Forwarded-For", "192.0.2.1")],
        [("X-Forwarded-For", "192.0.2.1"), ("X_Forwarded_For", "127.0.0.1")],
        [("Remote-Addr", "127.0.0.1"), ("X-Forwarded-For", "192.0.2.1")],
        [("Forwarded", "for=127.0.0.1"), ("X-Forwarded-For", "192.0.2.1")],
    ],
)
def test_no_header_of_a_client_makes_it_local(
    server: Gunicorn, sent: list[tuple[str, str]]
) -> None:
    assert status_of(server, *sent) == 404
