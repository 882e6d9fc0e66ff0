# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Every failure of the service has its class, and no secret gets into any text."""

from __future__ import annotations

import logging
from typing import Any

import httpx2
import pytest

import model_server.client as sdk
from driver import KEY, WHOLE, Chunks, Driver, Script, chunk, events, failure, ok, vectors
from model_server.errors import TABLE, ServiceError
from model_server.types import LoginRequest

ONCE = {"max_retries": 0}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.code)
def test_every_row_of_the_table_has_its_class(driver: Driver, row: type[ServiceError]) -> None:
    kind = getattr(sdk, row.__name__)
    assert issubclass(kind, sdk.APIStatusError)
    assert kind.__doc__ == row.__doc__
    script = Script(failure(row.status, row.code, retry_after="3"))
    with pytest.raises(kind) as caught:
        driver.call(script, "models", options=ONCE)
    error = caught.value
    assert error.__class__ is kind
    assert (error.status, error.code, error.type) == (row.status, row.code, "some_error")
    assert (error.request_id, error.retry_after, error.param) == ("r1", 3, "input")
    assert (error.retryable, error.details) == (row.retryable, {"limit": 1})
    assert str(error) == f"{row.status} {row.code}: It was {row.code}. (request r1)"


def test_codes_are_not_shared() -> None:
    assert len({row.code for row in TABLE}) == len(TABLE)


def test_the_server_says_whether_to_try_again(driver: Driver) -> None:
    script = Script(failure(503, "overloaded", x_should_retry="false"))
    with pytest.raises(sdk.Overloaded) as caught:
        driver.call(script, "models")
    assert caught.value.retryable is False


@pytest.mark.parametrize(
    ("answer", "status", "code", "text"),
    [
        (failure(421, "misdirected_request"), 421, "misdirected_request", "It was"),
        (httpx2.Response(403, text="<html>"), 403, None, "something between gave it"),
        (httpx2.Response(500, json={"error": "text"}), 500, None, "something between gave it"),
        (
            httpx2.Response(301, headers={"location": "https://new.test/"}),
            *(301, None, "points to https://new.test/: use that address"),
        ),
    ],
)
def test_an_unknown_failure_is_an_api_status_error(
    driver: Driver, answer: httpx2.Response, status: int, code: str | None, text: str
) -> None:
    script = Script(answer)
    with pytest.raises(sdk.APIStatusError, match=text) as caught:
        driver.call(script, "models")
    assert caught.value.__class__ is sdk.APIStatusError
    assert (caught.value.status, caught.value.code) == (status, code)
    # Whoever answered: the id that was sent finds the request.
    assert caught.value.request_id in ("r1", script.requests[0].headers["x-request-id"])


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (httpx2.ConnectError("refused"), sdk.APIConnectionError),
        (httpx2.ConnectTimeout("slow"), sdk.APITimeoutError),
        (httpx2.ReadTimeout("slow"), sdk.APITimeoutError),
        (httpx2.PoolTimeout("full"), sdk.APITimeoutError),
        (httpx2.RemoteProtocolError(""), sdk.APIConnectionError),
        (httpx2.ProxyError("no"), sdk.APIConnectionError),
    ],
)
def test_a_lost_request(driver: Driver, raised: Exception, kind: type[Exception]) -> None:
    script = Script(raised)
    with pytest.raises(sdk.APIConnectionError) as caught:
        driver.call(script, "models", options=ONCE)
    assert caught.value.__class__ is kind
    assert caught.value.request_id == script.requests[0].headers["x-request-id"]
    assert caught.value.__cause__ is raised
    assert str(caught.value).startswith("GET /v1/models: ")


def test_wrong_arguments_name_the_field_and_not_the_value(driver: Driver) -> None:
    script = Script(ok({}))
    with pytest.raises(ValueError, match="password: String should have at most") as caught:
        driver.call(script, "login", "ada", "hunter2" * 1000)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None
    assert script.requests == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"url": None}, "either url or socket"),
        ({"socket": "/run/x"}, "either url or socket"),
        ({"token": "t"}, "either api_key or token"),
        ({"api_key": "sk-very-secret-key\n"}, "holds characters"),
        ({"api_key": ""}, "holds characters"),
        ({"url": "service.test"}, "give it as https://host"),
        ({"url": "https://user:sk-very-secret-key@service.test"}, "give credentials as"),
        ({"url": "https://service.test?key=1"}, "must not have a query"),
    ],
)
@pytest.mark.parametrize("kind", [sdk.Client, sdk.AsyncClient])
def test_what_no_client_can_use(kind: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text) as caught:
        kind(**{"url": "https://service.test", "api_key": KEY} | options)
    assert KEY not in str(caught.value)


def test_secrets_are_in_no_text(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = "token-very-secret"
    answers = (
        ok({"access_token": token, "expires_in": 60}),
        failure(503, "overloaded", retry_after="1"),
        httpx2.ReadTimeout("slow"),
    )
    script = Script(*answers)
    texts = []
    with pytest.raises(sdk.APITimeoutError) as caught:
        driver.calls(
            *(script, ("login", ("ada", "hunter2"), {"renew": True}), ("embed", ("private",), {}))
        )
    error: BaseException | None = caught.value
    while error is not None:
        texts += [str(error), repr(error)]
        error = error.__cause__ or error.__context__
    sync = sdk.Client("https://service.test", api_key=KEY)
    sync._session.renewal = LoginRequest(username="ada", password="hunter2")
    texts += [repr(sync), repr(sync._session), caplog.text]
    assert "503" in caplog.text or "Overloaded" in caplog.text
    for secret in (KEY, token, "hunter2", "private"):
        assert not any(secret in text for text in texts), secret
    assert len(script.requests) == 3


def test_a_token_that_fits_no_header_is_refused(driver: Driver) -> None:
    script = Script(ok({"access_token": "a b", "expires_in": 60}))
    with pytest.raises(sdk.ResponseInvalid, match="access_token: it fits no header"):
        driver.call(script, "login", "ada", "secret")


def error_event(code: str) -> bytes:
    return b"event: error\ndata: " + failure(500, code).content + b"\n\n"


def test_an_error_in_a_stream_has_its_class(driver: Driver) -> None:
    script = Script(events(chunk("Hel"), error_event("deadline_exceeded"), chunk("no")))
    with pytest.raises(sdk.DeadlineExceeded) as caught:
        driver.call(script, "chat_stream", "Hi")
    assert (caught.value.status, caught.value.retryable) == (504, True)
    assert len(script.requests) == 1


def test_an_unknown_error_in_a_stream(driver: Driver) -> None:
    with pytest.raises(sdk.APIStatusError) as caught:
        driver.call(Script(events(error_event("of_tomorrow"))), "chat_stream", "Hi")
    assert (type(caught.value), caught.value.code) == (sdk.APIStatusError, "of_tomorrow")


@pytest.mark.parametrize(
    ("chunks", "kind", "text"),
    [
        (WHOLE[:-1], sdk.APIConnectionError, "ended before the answer did"),
        ((chunk("a"), httpx2.ReadError("reset")), sdk.APIConnectionError, "broke: reset"),
        ((chunk("a"), httpx2.ReadTimeout("slow")), sdk.APITimeoutError, "broke: slow"),
        ((b"data: {}\n\n",), sdk.ResponseInvalid, "neither text nor an error"),
        ((b"data: " + b"x" * 2**21,), sdk.ResponseInvalid, "more than 1048576 bytes"),
    ],
)
def test_a_broken_stream(driver: Driver, chunks: Any, kind: type[Exception], text: str) -> None:
    body = Chunks(*chunks)
    script = Script(events(body))
    with pytest.raises(kind, match=text) as caught:
        driver.call(script, "chat_stream", "Hi")
    assert caught.value.__class__ is kind
    assert (caught.value.request_id, len(script.requests)) == ("r1", 1)
    assert body.closed


def test_a_stream_that_is_none(driver: Driver) -> None:
    with pytest.raises(sdk.ResponseInvalid, match="no stream of events"):
        driver.call(Script(vectors([1.0])), "chat_stream", "Hi")


def test_a_stream_that_is_refused(driver: Driver) -> None:
    with pytest.raises(sdk.ForbiddenInstruction):
        driver.call(Script(failure(422, "forbidden_instruction")), "chat_stream", "Hi")
