# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The way of one call: credentials, retries, waits and errors, once for both clients.

`flow` is a generator. It yields `Send` or `Sleep`, hears what came of it, and returns the
result or raises. Whoever drives it does the I/O.
"""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TypeVar

from .. import __version__
from ..types import LoginRequest, LoginResponse
from . import _calls, _errors, _retry
from ._calls import Call, Repeat
from ._errors import APITimeoutError, ModelServerError
from ._exchange import Answer, Lost, Send, Sleep, Stage

T = TypeVar("T")
Flow = Generator[Send | Sleep, Answer | Lost | None, T]

_log = logging.getLogger("model_server.client")
_EXPIRED = _errors.BY_CODE["expired"]


@dataclass(frozen=True)
class Policy:
    """How patient a client is, in seconds; `deadline` bounds one call with all its attempts."""

    timeout: float | None = 60.0
    connect_timeout: float | None = 5.0
    max_retries: int = 2
    max_retry_after: float = 120.0
    deadline: float | None = None


@dataclass
class Session:
    """What a client knows of its service. Copies of a client share it."""

    model: str | None = None
    secret: str | None = field(default=None, repr=False)
    renewal: LoginRequest | None = field(default=None, repr=False)
    """Whom to sign in again when the token has expired."""

    def sign_in(self, response: LoginResponse, renewal: LoginRequest | None) -> None:
        """Use a token from now on."""
        self.secret = response.access_token
        self.renewal = renewal


@dataclass(frozen=True)
class Machinery:
    """Time and chance, which tests set."""

    clock: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random


MACHINERY = Machinery()


def flow(
    call: Call[T], session: Session, policy: Policy, machinery: Machinery = MACHINERY
) -> Flow[T]:
    """Run one call; raise a ModelServerError."""
    way = _Way(session, policy, machinery)
    if call.names_model:
        if session.model is None:
            served = yield from way.run(_calls.models())
            session.model = served.data[0].id
        assert call.body is not None
        call = call._replace(body=call.body.model_copy(update={"model": session.model}))
    return (yield from way.run(call))


class _Way:
    """One call with its deadline, which a look-up of the model and a login share."""

    def __init__(self, session: Session, policy: Policy, machinery: Machinery) -> None:
        self._session = session
        self._policy = policy
        self._clock = machinery.clock
        self._random = machinery.random
        self._ends = None if policy.deadline is None else self._clock() + policy.deadline

    def run(self, call: Call[T]) -> Flow[T]:
        """Send until there is a result, or no sense in sending again."""
        failures = 0
        renewed = False
        while True:
            secret = self._session.secret
            send, sent_id = self._request(call, secret)
            outcome = yield send
            if isinstance(outcome, Answer) and outcome.successful:
                return call.parse(outcome)
            error = self._error(outcome, send, sent_id)
            if isinstance(error, _EXPIRED) and self._session.renewal and not renewed:
                renewed = True
                yield from self._renew(secret)
                continue
            failures += 1
            wait = self._wait(call, outcome, failures)
            if wait is None:
                raise error
            _log.info(
                "%s %s failed (%s); retry %d of %d in %.1f s",
                *(send.method, send.path, type(error).__name__),
                *(failures, self._policy.max_retries, wait),
            )
            yield Sleep(wait)

    def _request(self, call: Call[T], secret: str | None) -> tuple[Send, str]:
        request_id = uuid.uuid4().hex
        headers = {
            "Accept": "text/event-stream" if call.stream else "application/json",
            "User-Agent": f"model-server-client/{__version__}",
            "X-Request-ID": request_id,
        }
        body = None
        if call.body is not None:
            headers["Content-Type"] = "application/json"
            body = call.body.model_dump_json(exclude_none=True).encode()
        if call.signed and secret is not None:
            headers["Authorization"] = f"Bearer {secret}"
        send = Send(
            method=call.method,
            path=call.path,
            body=body,
            headers=headers,
            timeout=self._within(self._policy.timeout, request_id),
            connect_timeout=self._within(self._policy.connect_timeout, request_id),
            stream=call.stream,
        )
        return send, request_id

    def _within(self, timeout: float | None, request_id: str) -> float | None:
        """Cut a timeout to what is left of the deadline."""
        if self._ends is None:
            return timeout
        left = self._ends - self._clock()
        if left <= 0:
            raise APITimeoutError(
                f"The deadline of {self._policy.deadline} s is over.", request_id=request_id
            )
        return left if timeout is None else min(left, timeout)

    def _error(self, outcome: Answer | Lost | None, send: Send, sent_id: str) -> ModelServerError:
        assert outcome is not None
        if isinstance(outcome, Lost):
            return _errors.of_loss(outcome, send, sent_id)
        return _errors.of_answer(outcome, sent_id)

    def _renew(self, expired: str | None) -> Flow[None]:
        """Sign in again, unless another call of this client has done so meanwhile."""
        renewal = self._session.renewal
        if renewal is None or self._session.secret != expired:
            return
        response = yield from self.run(_calls.login(renewal.username, renewal.password))
        self._session.sign_in(response, renewal)

    def _wait(self, call: Call[T], outcome: Answer | Lost | None, failures: int) -> float | None:
        """Seconds until the next attempt; None when there must be none."""
        if failures > self._policy.max_retries or call.repeat is Repeat.NEVER:
            return None
        wait = _retry.backoff(failures, self._random)
        if isinstance(outcome, Lost):
            unsent = outcome.stage is Stage.UNSENT
            again = outcome.stage is Stage.UNANSWERED and call.repeat is Repeat.ALWAYS
            if not (unsent or again):
                return None
        elif outcome is not None:
            after = _retry.retry_after(outcome.headers)
            if not _may_repeat(call, outcome, after is not None):
                return None
            if after is not None:
                if after > self._policy.max_retry_after:
                    return None
                wait = after
        if self._ends is not None and self._clock() + wait >= self._ends:
            return None
        return wait


def _may_repeat(call: Call[T], answer: Answer, waits: bool) -> bool:
    told = _retry.told(answer.headers)
    if told is not None:
        return told
    if call.repeat is Repeat.IF_REFUSED:
        # Refused at the door: nothing was computed.
        return answer.status in (429, 503) and waits
    return answer.status in _retry.STATUSES
