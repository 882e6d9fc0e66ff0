# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What is sent again, how often, and after which waits."""

from __future__ import annotations

import datetime
import email.utils
import ssl
from typing import Any

import httpx2
import pytest

from driver import Chunks, Driver, Script, events, failure, ok, vectors
from model_server.client import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ModelServerError,
    _retry,
)

GOOD = vectors([1.0])
REFUSED = httpx2.ConnectError("refused")
BROKEN = httpx2.RemoteProtocolError("Server disconnected without sending a response.")
SLOW = httpx2.ReadTimeout("slow")
EMBED: tuple[str, Any] = ("embed", ("a",))
CHAT: tuple[str, Any] = ("chat", ("a",))
STREAM: tuple[str, Any] = ("chat_stream", ("a",))
LOGIN: tuple[str, Any] = ("login", ("ada", "secret"))
READY: tuple[str, Any] = ("ready", ())


def bad(status: int, **headers: str) -> httpx2.Response:
    return httpx2.Response(
        status, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


@pytest.mark.parametrize(
    ("call", "failing", "again"),
    [
        *((EMBED, bad(status), True) for status in (408, 429, 502, 503, 504)),
        *((EMBED, bad(status), False) for status in (301, 400, 401, 404, 413, 422, 500, 501)),
        (EMBED, bad(500, x_should_retry="true"), True),
        (EMBED, bad(503, x_should_retry="false", retry_after="1"), False),
        (EMBED, failure(503, "draining", x_should_retry="true", retry_after="1"), True),
        (EMBED, REFUSED, True),
        (EMBED, httpx2.ConnectTimeout("slow"), True),
        (EMBED, BROKEN, True),
        (EMBED, httpx2.ReadError("reset"), True),
        (EMBED, httpx2.WriteError("reset"), True),
        # The time that the caller gave is over.
        (EMBED, SLOW, False),
        (EMBED, httpx2.WriteTimeout("slow"), False),
        (EMBED, httpx2.PoolTimeout("full"), False),
        (EMBED, httpx2.LocalProtocolError("header"), False),
        (EMBED, httpx2.UnsupportedProtocol("ftp"), False),
        # An answer of a chat costs much: only what did no work is sent again.
        *((call, REFUSED, True) for call in (CHAT, STREAM, LOGIN)),
        *((call, BROKEN, False) for call in (CHAT, STREAM, LOGIN)),
        *((call, bad(503, retry_after="1"), True) for call in (CHAT, STREAM, LOGIN)),
        *((call, bad(429, retry_after="1"), True) for call in (CHAT, STREAM, LOGIN)),
        *((call, bad(503), False) for call in (CHAT, STREAM, LOGIN)),
        *((call, bad(502, retry_after="1"), False) for call in (CHAT, STREAM, LOGIN)),
        (CHAT, bad(504, x_should_retry="true"), True),
        (CHAT, bad(429, x_should_retry="false", retry_after="1"), False),
        # Asked for the state of this moment.
        (READY, failure(503, "not_ready", x_should_retry="true", retry_after="5"), False),
        (READY, REFUSED, False),
    ],
)
def test_what_is_sent_again(
    driver: Driver, call: tuple[str, Any], failing: Any, again: bool
) -> None:
    script = Script(failing)
    with pytest.raises(ModelServerError):
        driver.call(script, call[0], *call[1])
    assert len(script.requests) == (3 if again else 1)
    assert len(script.slept) == (2 if again else 0)
    ids = {request.headers["x-request-id"] for request in script.requests}
    assert len(ids) == len(script.requests)


def test_a_retry_gives_the_answer(driver: Driver) -> None:
    script = Script(REFUSED, bad(502), GOOD)
    assert driver.call(script, "embed", "a").vectors == [[1.0]]
    assert len(script.requests) == 3
    assert script.bodies[0] == script.bodies[2]


def test_retries_can_be_forbidden(driver: Driver) -> None:
    script = Script(REFUSED)
    with pytest.raises(APIConnectionError):
        driver.call(script, "embed", "a", options={"max_retries": 0})
    assert (len(script.requests), script.slept) == (1, [])


def test_an_answer_that_breaks_off_is_not_asked_for_again(driver: Driver) -> None:
    body = Chunks(b'{"object":', httpx2.ReadError("reset"))
    script = Script(httpx2.Response(200, stream=body))
    with pytest.raises(APIConnectionError, match="reset"):
        driver.call(script, "embed", "a")
    assert (len(script.requests), body.closed) == (1, True)


def test_a_wrong_certificate_is_not_tried_again(driver: Driver) -> None:
    error = httpx2.ConnectError("certificate verify failed")
    error.__cause__ = ssl.SSLCertVerificationError("self-signed certificate")
    script = Script(error)
    with pytest.raises(APIConnectionError, match="certificate verify failed") as caught:
        driver.call(script, "embed", "a")
    assert (len(script.requests), caught.value.retryable) == (1, False)


def test_a_stream_that_has_begun_is_not_sent_again(driver: Driver) -> None:
    script = Script(events(httpx2.ReadError("reset")))
    with pytest.raises(APIConnectionError):
        driver.call(script, "chat_stream", "Hi")
    assert len(script.requests) == 1


def in_a_date(seconds: float) -> str:
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return email.utils.format_datetime(moment, usegmt=True)


@pytest.mark.parametrize("value", ["7", "0", "1.5", "120"])
def test_the_server_says_for_how_long(driver: Driver, value: str) -> None:
    script = Script(bad(503, retry_after=value), GOOD)
    driver.call(script, "embed", "a")
    assert script.slept == [float(value)]


@pytest.mark.parametrize(("seconds", "low", "high"), [(60, 40, 60), (-60, 0, 0)])
def test_the_server_says_until_when(
    driver: Driver, seconds: float, low: float, high: float
) -> None:
    script = Script(bad(503, retry_after=in_a_date(seconds)), GOOD)
    driver.call(script, "embed", "a")
    (slept,) = script.slept
    assert low <= slept <= high


@pytest.mark.parametrize("as_date", [False, True])
def test_a_wait_that_is_too_long_is_the_callers(driver: Driver, as_date: bool) -> None:
    script = Script(bad(503, retry_after=in_a_date(3600) if as_date else "121"), GOOD)
    with pytest.raises(APIStatusError) as caught:
        driver.call(script, "embed", "a")
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 120
    assert (len(script.requests), script.slept) == (1, [])


@pytest.mark.parametrize("value", ["soon", "inf", "nan", ""])
def test_a_wait_that_is_none_is_not_obeyed(driver: Driver, value: str) -> None:
    script = Script(bad(503, retry_after=value), GOOD)
    driver.call(script, "embed", "a")
    assert 0 <= script.slept[0] <= 0.5


def test_a_date_in_the_zone_of_nowhere_is_utc() -> None:
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60)
    text = email.utils.format_datetime(moment.replace(tzinfo=None))
    assert text.endswith("-0000")
    assert 50 < (_retry.retry_after({"retry-after": text}) or 0) <= 60


def test_backoff_doubles_from_half_a_second_to_eight() -> None:
    assert [_retry.backoff(n, lambda: 1.0) for n in (1, 2, 3, 4, 5, 6, 60)] == [
        *(0.5, 1, 2, 4),
        *(8, 8, 8),
    ]


def test_backoff_is_fully_jittered() -> None:
    assert [_retry.backoff(3, lambda part=part: part) for part in (0.0, 0.25, 0.5)] == [0, 0.5, 1]


def test_the_waits_of_a_client_are_within_the_backoff(driver: Driver) -> None:
    script = Script(bad(502))
    with pytest.raises(APIStatusError):
        driver.call(script, "embed", "a", options={"max_retries": 5})
    assert len(script.slept) == 5
    assert all(
        0 <= slept <= bound for slept, bound in zip(script.slept, (0.5, 1, 2, 4, 8), strict=True)
    )


def test_a_deadline_bounds_attempts_and_waits(driver: Driver) -> None:
    script = Script(bad(503, retry_after="30"), GOOD)
    with pytest.raises(APIStatusError) as caught:
        driver.call(script, "embed", "a", options={"deadline": 20})
    assert (caught.value.status, script.slept) == (503, [])
    timeout = script.requests[0].extensions["timeout"]
    assert 19 < timeout["read"] <= 20
    assert timeout["connect"] == 5


def test_a_deadline_that_is_over_sends_nothing(driver: Driver) -> None:
    script = Script(GOOD)
    with pytest.raises(APITimeoutError, match="deadline of 0 s is over"):
        driver.call(script, "embed", "a", options={"deadline": 0})
    assert script.requests == []


def test_timeouts_are_sent_with_each_request(driver: Driver) -> None:
    script = Script(GOOD)
    driver.call(script, "embed", "a", options={"timeout": 7, "connect_timeout": 2})
    assert script.requests[0].extensions["timeout"] == {
        "connect": 2,
        "read": 7,
        "write": 7,
        "pool": 7,
    }


def test_a_renewal_that_fails_tells_why(driver: Driver) -> None:
    token = ok({"access_token": "t", "expires_in": 1})
    script = Script(token, failure(401, "expired"), failure(401, "invalid_credentials"))
    calls = ("login", ("ada", "secret"), {"renew": True}), ("embed", ("a",), {})
    with pytest.raises(APIStatusError, match="invalid_credentials"):
        driver.calls(script, *calls)
    assert len(script.requests) == 3


def test_a_token_that_is_expired_at_once_is_renewed_only_once(driver: Driver) -> None:
    expired = failure(401, "expired")
    token = ok({"access_token": "t", "expires_in": 1})
    script = Script(token, expired, token, expired)
    calls = ("login", ("ada", "secret"), {"renew": True}), ("embed", ("a",), {})
    with pytest.raises(APIStatusError, match="expired"):
        driver.calls(script, *calls)
    assert len(script.requests) == 4


def test_a_token_is_not_renewed_unasked(driver: Driver) -> None:
    token = ok({"access_token": "t", "expires_in": 1})
    script = Script(token, failure(401, "expired"))
    with pytest.raises(APIStatusError, match="expired"):
        driver.calls(script, ("login", ("ada", "secret"), {}), ("embed", ("a",), {}))
    assert len(script.requests) == 2
