# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Signing in: passwords, and the lockout after failures."""

from __future__ import annotations

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from werkzeug.security import generate_password_hash

from access import HERE, PASSWORD, SIGN_IN, access_of, credentials_of
from fakes import FakeClock
from model_server.errors import InvalidCredentials, LockedOut, Overloaded
from model_server.security import passwords
from model_server.security.login import Login
from model_server.security.passwords import Passwords

ELSEWHERE = "192.0.2.1"


def login_of(clock: FakeClock) -> Login:
    access = access_of(
        SIGN_IN,
        clock,
        authentication={"methods": ["jwt"], "lockout_failures": 3, "lockout_seconds": 100},
    )
    assert access.login is not None
    return access.login


def fail(login: Login, times: int, user: str = "alice", address: str = HERE) -> None:
    for _turn in range(times):
        with pytest.raises(InvalidCredentials):
            login.sign_in(user, "wrong", address)


def locked(login: Login, user: str = "alice", address: str = HERE) -> int:
    with pytest.raises(LockedOut) as caught:
        login.sign_in(user, PASSWORD, address)
    assert caught.value.retry_after is not None
    return caught.value.retry_after


def test_a_wrong_password_and_an_unknown_user_have_one_answer() -> None:
    login = login_of(FakeClock())
    messages = set()
    for user in ("alice", "bob"):
        with pytest.raises(InvalidCredentials) as caught:
            login.sign_in(user, "wrong", HERE)
        messages.add(caught.value.message)
    assert len(messages) == 1


def test_an_unknown_user_costs_the_time_of_a_wrong_password() -> None:
    # In the product's strength: the difference between a hash and none would be 100 ms.
    user = {"name": "alice", "password_hash": generate_password_hash(PASSWORD)}
    checks = Passwords(credentials_of(users=[user]).users)
    assert checks.verify("alice", PASSWORD)

    def seconds(name: str) -> float:
        times = []
        for _turn in range(5):
            started = time.thread_time()
            assert not checks.verify(name, "wrong")
            times.append(time.thread_time() - started)
        return statistics.median(times)

    assert seconds("bob") == pytest.approx(seconds("alice"), rel=0.5)


def test_the_last_failure_locks_and_time_unlocks() -> None:
    clock = FakeClock()
    login = login_of(clock)
    fail(login, 2)
    clock.advance(90)
    fail(login, 1)
    assert locked(login) == 100
    clock.advance(99.5)
    assert locked(login) == 1
    clock.advance(0.5)
    assert login.sign_in("alice", PASSWORD, HERE)
    fail(login, 2)


def test_who_is_locked_out_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    login = login_of(FakeClock())
    fail(login, 3)
    monkeypatch.setattr(passwords, "check_password_hash", lambda *_: pytest.fail("checked"))
    locked(login)


def test_failures_are_forgotten_after_their_time() -> None:
    clock = FakeClock()
    login = login_of(clock)
    for _turn in range(3):
        fail(login, 2)
        clock.advance(100)


def test_a_success_clears_the_failures_from_that_address() -> None:
    login = login_of(FakeClock())
    for _turn in range(3):
        fail(login, 2)
        assert login.sign_in("alice", PASSWORD, HERE)


def test_an_attacker_elsewhere_does_not_lock_out_the_user() -> None:
    login = login_of(FakeClock())
    fail(login, 3, address=ELSEWHERE)
    locked(login, address=ELSEWHERE)
    assert login.sign_in("alice", PASSWORD, HERE)


def test_many_failures_from_many_addresses_lock_the_user_and_nobody_else() -> None:
    login = login_of(FakeClock())
    for host in range(10):
        fail(login, 3, address=f"192.0.2.{host}")
        if host == 5:
            # A success in between does not help who guesses.
            assert login.sign_in("alice", PASSWORD, HERE)
    assert locked(login) == 100
    fail(login, 1, user="bob")


def test_addresses_of_one_network_of_ipv6_are_one() -> None:
    login = login_of(FakeClock())
    for host in range(3):
        fail(login, 1, address=f"2001:db8::{host}")
    locked(login, address="2001:db8::ffff")


def test_unknown_users_are_locked_out_alike() -> None:
    login = login_of(FakeClock())
    fail(login, 3, user="nobody/\u4e2d")
    locked(login, user="nobody/\u4e2d")


def test_two_passwords_are_checked_at_once_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    login = login_of(FakeClock())
    inside = threading.Semaphore(0)
    go = threading.Event()

    def check(_hash: str, _password: str) -> bool:
        inside.release()
        assert go.wait(timeout=30)
        return True

    monkeypatch.setattr(passwords, "check_password_hash", check)
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(login.sign_in, "alice", "x", HERE) for _turn in range(2)]
        for _turn in range(2):
            assert inside.acquire(timeout=30)
        with pytest.raises(Overloaded) as caught:
            login.sign_in("alice", "x", HERE)
        assert caught.value.retry_after == 1
        go.set()
        assert all(future.result() for future in running)
    assert login.sign_in("alice", "x", HERE)
