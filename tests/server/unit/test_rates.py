# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Limits of clients and addresses, counted in memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access import ALICE, BOTH, HERE, PASSWORD, SIGN_IN, access_of, api_key
from fakes import FakeClock
from model_server.errors import RateLimited, Unauthenticated
from model_server.security.access import Access, Admission
from model_server.security.windows import MemoryWindows

ELSEWHERE = "192.0.2.1"


def admit(access: Access, key: str = "k", address: str = HERE) -> Admission:
    return access.admit({"X-API-Key": key}, address, "embeddings")


def refused(access: Access, key: str = "k", address: str = HERE) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        admit(access, key, address)
    return caught.value


def door(clock: FakeClock, *keys: dict[str, Any], **rates: int) -> Access:
    content = {"api_keys": list(keys) or [api_key("k"), api_key("other", "other")]}
    return access_of(content, clock, rates=rates)


def test_requests_are_counted_for_a_minute_from_the_first() -> None:
    clock = FakeClock()
    access = door(clock, requests_per_minute=2)
    assert admit(access).headers == {
        "RateLimit-Limit": "2",
        "RateLimit-Remaining": "1",
        "RateLimit-Reset": "60",
    }
    clock.advance(20.5)
    assert admit(access).headers["RateLimit-Remaining"] == "0"
    failure = refused(access)
    assert failure.retry_after == 40
    assert failure.details == {"limit": "requests_per_minute", "allowed": 2}
    assert failure.headers == {
        "RateLimit-Limit": "2",
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": "40",
    }
    assert "in 40 s" in failure.message
    clock.advance(39.5)
    assert admit(access).headers["RateLimit-Remaining"] == "1"


def test_each_client_has_its_own_allowance_and_two_keys_of_one_name_share_it() -> None:
    keys = [api_key("k"), api_key("second"), api_key("other", "other")]
    access = door(FakeClock(), *keys, requests_per_minute=1)
    admit(access)
    refused(access, "second")
    admit(access, "other")


def test_a_key_has_limits_of_its_own_and_zero_is_none() -> None:
    limits = {"requests_per_minute": 3, "tokens_per_minute": 0, "concurrency": 0}
    keys = [api_key("k", limits=limits), api_key("other", "other")]
    access = door(FakeClock(), *keys, requests_per_minute=1, tokens_per_minute=5, concurrency=1)
    for _turn in range(3):
        admit(access).release(100)
    assert refused(access).details == {"limit": "requests_per_minute", "allowed": 3}
    admit(access, "other")
    refused(access, "other")


def test_without_limits_there_are_no_headers() -> None:
    access = door(FakeClock(), requests_per_minute=0, address_requests_per_minute=0)
    for _turn in range(100):
        assert admit(access).headers == {}


def test_tokens_are_counted_afterwards_and_refuse_the_next() -> None:
    clock = FakeClock()
    access = door(clock, requests_per_minute=0, tokens_per_minute=10)
    first = admit(access)
    assert first.headers["RateLimit-Remaining"] == "10"
    first.release(9)
    second = admit(access)
    assert second.headers["RateLimit-Remaining"] == "1"
    clock.advance(15)
    second.release(500)
    failure = refused(access)
    assert failure.details == {"limit": "tokens_per_minute", "allowed": 10}
    assert failure.retry_after == 45
    clock.advance(45)
    admit(access)


def test_a_request_refused_for_tokens_uses_no_request() -> None:
    access = door(FakeClock(), requests_per_minute=2, tokens_per_minute=1)
    admit(access).release(1)
    for _turn in range(5):
        assert refused(access).details == {"limit": "tokens_per_minute", "allowed": 1}


def test_places_are_given_back_once() -> None:
    access = door(FakeClock(), concurrency=2)
    first, second = admit(access), admit(access)
    failure = refused(access)
    assert failure.details == {"limit": "concurrency", "allowed": 2}
    assert failure.retry_after == 1
    admit(access, "other")
    first.release(0)
    first.release(0)
    third = admit(access)
    refused(access)
    second.release(0)
    third.release(0)


def test_a_place_that_is_never_given_back_ends_after_its_time() -> None:
    clock = FakeClock()
    access = door(clock, concurrency=1)
    lost = admit(access)
    clock.advance(64)
    refused(access)
    clock.advance(1)
    admit(access)
    lost.release(0)
    refused(access)


def test_a_second_release_counts_no_tokens() -> None:
    access = door(FakeClock(), tokens_per_minute=10)
    admission = admit(access)
    for _turn in range(3):
        admission.release(4)
    admit(access).release(4)
    admit(access)


def test_an_address_is_counted_also_when_it_guesses_keys() -> None:
    clock = FakeClock()
    access = door(clock, address_requests_per_minute=3)
    for _turn in range(3):
        with pytest.raises(Unauthenticated):
            admit(access, "wrong", ELSEWHERE)
    for key in ("wrong", "k"):
        failure = refused(access, key, ELSEWHERE)
        assert failure.details == {"limit": "address_requests_per_minute", "allowed": 3}
        assert failure.retry_after == 60
    admit(access)
    clock.advance(60)
    admit(access, "k", ELSEWHERE)


def test_unknown_addresses_share_one_allowance() -> None:
    access = door(FakeClock(), address_requests_per_minute=1)
    admit(access, address="")
    refused(access, address="")


def test_a_user_is_counted_by_name() -> None:
    user = {**ALICE, "limits": {"requests_per_minute": 1}}
    access = access_of(
        {**SIGN_IN, "users": [user], "api_keys": [api_key("k")]}, authentication=BOTH
    )
    assert access.login is not None
    tokens = [access.login.sign_in("alice", PASSWORD, HERE) for _turn in range(2)]
    access.admit({"Authorization": f"Bearer {tokens[0]}"}, HERE, "models")
    with pytest.raises(RateLimited):
        access.admit({"Authorization": f"Bearer {tokens[1]}"}, HERE, "models")
    admit(access)


def test_parallel_requests_are_counted_exactly() -> None:
    access = door(FakeClock(), requests_per_minute=50, concurrency=20)

    def attempt(_turn: int) -> str:
        try:
            admit(access)
        except RateLimited as error:
            return str((error.details or {})["limit"])
        return "ok"

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(attempt, range(200)))
    assert {outcome: outcomes.count(outcome) for outcome in outcomes} == {
        "ok": 20,
        "concurrency": 30,
        "requests_per_minute": 150,
    }


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5), st.floats(0, 40)), max_size=60)
)
def test_windows_count_like_a_model(steps: list[tuple[str, int, float]]) -> None:
    clock = FakeClock()
    windows = MemoryWindows(clock)
    model: dict[str, tuple[float, int]] = {}
    for key, amount, seconds in steps:
        clock.advance(seconds)
        end, count = model.get(key, (0.0, 0))
        if end <= clock.now:
            end, count = clock.now + 60, 0
        model[key] = end, count + amount
        assert windows.incr(key, 60, amount) == count + amount
        assert (windows.get(key), windows.get_expiry(key)) == (count + amount, end)


def test_windows_that_have_ended_are_dropped() -> None:
    clock = FakeClock()
    windows = MemoryWindows(clock)
    for index in range(20_000):
        windows.incr(str(index), 60)
        clock.advance(1)
    assert windows.reset() <= 1024
    assert windows.get("19999") == 0
