# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The flow alone, without clients: its steps are plain values."""

from __future__ import annotations

import pytest

from driver import vectors
from fakes import FakeClock
from model_server.client import APITimeoutError, _calls
from model_server.client._exchange import Answer, Lost, Send, Sleep, Stage
from model_server.client._flow import Flow, Machinery, Policy, Session, flow
from model_server.client._results import Embeddings
from model_server.types import LoginRequest

GOOD = Answer(200, {}, vectors([1.0]).content)
BUSY = Answer(503, {}, b"")
EXPIRED = Answer(401, {}, b'{"error":{"message":"m","type":"t","code":"expired","request_id":"r"}}')


def start(clock: FakeClock, session: Session | None = None, **policy: float) -> Flow[Embeddings]:
    call = _calls.embed("a", transfer="base64", expect_fingerprint=None)
    machinery = Machinery(clock=clock, random=lambda: 1.0)
    session = session or Session(model="m")
    return flow(call, session, Policy(**policy), machinery)  # type: ignore[arg-type]


def test_it_yields_requests_and_waits_and_returns_the_result() -> None:
    steps = start(FakeClock())
    assert isinstance(next(steps), Send)
    assert steps.send(BUSY) == Sleep(0.5)
    assert isinstance(steps.send(None), Send)
    assert steps.send(Lost(Stage.UNSENT, False, OSError())) == Sleep(1.0)
    assert isinstance(steps.send(None), Send)
    with pytest.raises(StopIteration) as end:
        steps.send(GOOD)
    assert end.value.value.vectors == [[1.0]]


def test_timeouts_shrink_with_the_deadline() -> None:
    clock = FakeClock()
    steps = start(clock, deadline=100, timeout=60)
    first = next(steps)
    clock.advance(50)
    steps.send(BUSY)
    clock.advance(49)
    second = steps.send(None)
    assert isinstance(first, Send)
    assert isinstance(second, Send)
    assert (first.timeout, second.timeout, second.connect_timeout) == (60, 1, 1)


def test_a_wait_that_took_too_long_ends_the_call() -> None:
    clock = FakeClock()
    steps = start(clock, deadline=10)
    next(steps)
    steps.send(BUSY)
    clock.advance(11)
    with pytest.raises(APITimeoutError):
        steps.send(None)


def test_of_two_calls_with_an_expired_token_one_signs_in() -> None:
    session = Session("m", "old", LoginRequest(username="ada", password="p"))
    first, second = start(FakeClock(), session), start(FakeClock(), session)
    next(first)
    next(second)
    login = first.send(EXPIRED)
    assert isinstance(login, Send)
    assert login.path == "/login"
    again = first.send(Answer(200, {}, b'{"access_token":"new","expires_in":9}'))
    for step in (again, second.send(EXPIRED)):
        assert isinstance(step, Send)
        assert (step.path, step.headers["Authorization"]) == ("/v1/embeddings", "Bearer new")


def test_a_request_is_printed_without_its_contents() -> None:
    session = Session("m", "secret-token")
    text = repr(next(start(FakeClock(), session))) + repr(session) + repr(GOOD)
    assert "secret-token" not in text
    assert "input" not in text
