# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Usage that several hosts count in one Redis, and what happens when it is gone."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from access import HERE, PASSWORD, SIGN_IN, RedisServer, access_of, api_key
from fakes import FakeClock
from model_server.errors import InvalidCredentials, LockedOut, RateLimited
from model_server.security.access import Access, Admission


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A running Redis."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


def door(server: RedisServer, clock: Any = time.time, **rates: int) -> Access:
    content = {"api_keys": [api_key("k"), api_key("other", "other")]}
    return access_of(content, clock, rates={"storage": server.uri, **rates})


def admit(access: Access, key: str = "k") -> Admission:
    return access.admit({"X-API-Key": key}, HERE, "embeddings")


def refused(access: Access, limit: str) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        admit(access)
    assert caught.value.details is not None
    assert caught.value.details["limit"] == limit
    return caught.value


def test_two_hosts_enforce_one_limit_of_requests(server: RedisServer) -> None:
    one, two = (door(server, requests_per_minute=3) for _turn in range(2))
    remaining = [admit(access).headers["RateLimit-Remaining"] for access in (one, two, one)]
    assert remaining == ["2", "1", "0"]
    for access in (one, two):
        assert 0 < (refused(access, "requests_per_minute").retry_after or 0) <= 60
        assert not access.usage.fallback
    assert admit(two, "other").headers["RateLimit-Remaining"] == "2"


def test_two_hosts_enforce_one_limit_of_tokens(server: RedisServer) -> None:
    one, two = (door(server, tokens_per_minute=10) for _turn in range(2))
    admit(one).release(50)
    assert 0 < (refused(two, "tokens_per_minute").retry_after or 0) <= 60


def test_two_hosts_enforce_one_limit_of_addresses(server: RedisServer) -> None:
    one, two = (door(server, address_requests_per_minute=1) for _turn in range(2))
    admit(one)
    refused(two, "address_requests_per_minute")


def test_two_hosts_share_places(server: RedisServer) -> None:
    one, two = (door(server, concurrency=2) for _turn in range(2))
    first, _second = admit(one), admit(two)
    refused(one, "concurrency")
    refused(two, "concurrency")
    first.release(0)
    admit(two)
    refused(one, "concurrency")


def test_places_of_a_host_that_crashed_come_back(server: RedisServer) -> None:
    usage = door(server).usage
    assert usage.on(lambda store: store.take("client", 1, 1))
    assert usage.on(lambda store: store.take("client", 1, 1)) is None
    time.sleep(2.1)
    assert usage.on(lambda store: store.take("client", 1, 1))


def test_two_hosts_lock_out_together(server: RedisServer) -> None:
    one, two = (
        access_of(
            SIGN_IN,
            rates={"storage": server.uri},
            authentication={"methods": ["jwt"], "lockout_failures": 2, "lockout_seconds": 100},
        ).login
        for _turn in range(2)
    )
    assert one is not None
    assert two is not None
    for login in (one, two):
        with pytest.raises(InvalidCredentials):
            login.sign_in("alice", "wrong", HERE)
    for login in (one, two):
        with pytest.raises(LockedOut) as caught:
            login.sign_in("alice", PASSWORD, HERE)
        assert 90 < (caught.value.retry_after or 0) <= 100
        assert login.sign_in("alice", PASSWORD, "192.0.2.1")


def test_services_that_share_a_redis_do_not_share_limits(server: RedisServer) -> None:
    one = door(server, requests_per_minute=1)
    other = access_of(
        {"api_keys": [api_key("k")]},
        rates={"storage": server.uri, "requests_per_minute": 1},
        service={"name": "other"},
    )
    admit(one)
    admit(other)
    refused(other, "requests_per_minute")


def test_names_of_users_are_not_stored(server: RedisServer) -> None:
    login = access_of(
        SIGN_IN, rates={"storage": server.uri}, authentication={"methods": ["jwt"]}
    ).login
    assert login is not None
    with pytest.raises(InvalidCredentials):
        login.sign_in("my password, typed too early", "x", HERE)
    client = server.client()
    keys = client.keys()
    assert keys
    assert not [key for key in keys if b"password" in key]


def test_a_redis_that_dies_refuses_nobody_and_each_host_counts_for_itself(
    server: RedisServer,
) -> None:
    clock = FakeClock()
    clock.now = time.time()
    one, two = (door(server, clock, requests_per_minute=2, concurrency=2) for _turn in range(2))
    running = admit(one)
    admit(two)
    refused(two, "requests_per_minute")
    server.kill()
    with capture_logs() as logs:
        for access in (one, two):
            admit(access)
            assert access.usage.fallback
            admit(access)
            refused(access, "requests_per_minute")
        running.release(3)
    warnings = [line for line in logs if line["event"] == "limits_fallback"]
    assert len(warnings) == 2, "one for each process"
    assert {line["log_level"] for line in warnings} == {"warning"}

    # Tried again after some seconds; not warned of again within a minute.
    with capture_logs() as logs:
        clock.advance(6)
        refused(one, "requests_per_minute")
        clock.advance(60)
        admit(one)
    assert [line["event"] for line in logs] == ["limits_fallback"]

    server.start()
    assert one.usage.fallback, "nothing has asked it yet"
    with capture_logs() as logs:
        clock.advance(6)
        admit(one)
    assert not one.usage.fallback
    assert [line["event"] for line in logs] == ["limits_restored"]


def test_a_redis_that_restarts_is_used_at_once(server: RedisServer) -> None:
    access = door(server, requests_per_minute=5)
    admit(access)
    server.kill()
    server.start()
    assert admit(access).headers["RateLimit-Remaining"] == "4"
    assert not access.usage.fallback


def test_a_redis_that_does_not_answer_delays_one_request(tmp_path: Path) -> None:
    path = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        access = access_of(rates={"storage": f"redis+unix://{path}", "concurrency": 50})
        started = time.monotonic()
        admissions = [admit(access) for _turn in range(20)]
        for admission in admissions:
            admission.release(1)
        assert time.monotonic() - started < 1
        assert access.usage.fallback


def test_the_password_comes_from_the_credentials(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start("--requirepass", "hunter2")
    try:
        for password, fallback in (("hunter2", False), ("wrong", True), (None, True)):
            content = {"api_keys": [api_key("k")], "redis_password": password}
            access = access_of(content, rates={"storage": server.uri})
            with capture_logs() as logs:
                admit(access)
            assert access.usage.fallback is fallback
            assert "hunter2" not in str(logs)
            assert bool(logs) is fallback
    finally:
        server.kill()
