# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What a call can raise.

ModelServerError
  APIConnectionError      no answer, or only part of one
    APITimeoutError       not in time
  APIStatusError          an answer that says no
    one class for each row of the server's table: RateLimited, InvalidRequest, ...
  ResponseInvalid         an answer that is not this service's
  VectorSpaceChanged      vectors of another space than the expected one
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ..errors import TABLE
from ..types import ErrorBody, ErrorResponse
from . import _retry
from ._exchange import Answer, Lost, Send, Stage


class ModelServerError(Exception):
    """Base of all that a call raises.

    `request_id` finds the request in the server's log; `retryable` tells whether the same call
    may succeed later.
    """

    def __init__(
        self, message: str, *, request_id: str | None = None, retryable: bool = False
    ) -> None:
        super().__init__(message)
        self.message = message
        self.request_id = request_id
        self.retryable = retryable


class APIConnectionError(ModelServerError):
    """The service was not reached, or the connection broke."""


class APITimeoutError(APIConnectionError):
    """The service did not answer in time."""


class ResponseInvalid(ModelServerError):
    """The answer is not one that this service gives."""


class VectorSpaceChanged(ModelServerError):
    """The service computes vectors of another space: they must not be compared with the old ones.

    `actual` is None when the service names no space.
    """

    def __init__(self, expected: str, actual: str | None, *, request_id: str | None = None) -> None:
        super().__init__(
            f"The vectors are of the space {actual or 'that the service does not name'}, not of "
            f"{expected}. Embed the stored texts anew before you compare, or ask the operator for "
            "the old model.",
            request_id=request_id,
        )
        self.expected = expected
        self.actual = actual


class APIStatusError(ModelServerError):
    """The service refused or failed; its subclasses name why.

    Raised itself for a code that this version of the client does not know, and for an answer of
    something between (a proxy): `code` is None then. `retry_after` is in seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        kind: str | None = None,
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, request_id=request_id, retryable=retryable)
        self.status = status
        self.type = kind
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.details = details

    def __str__(self) -> str:
        text = f"{self.status} {self.code or 'without a code'}: {self.message}"
        return text if self.request_id is None else f"{text} (request {self.request_id})"


_ROWS = {row.code: row for row in TABLE}
BY_CODE: dict[str, type[APIStatusError]] = {
    row.code: type(
        row.__name__,
        (APIStatusError,),
        {"__doc__": row.__doc__, "__module__": __package__},
    )
    for row in TABLE
}
"""The class of each code of the server's table."""


def of_answer(answer: Answer, sent_id: str) -> APIStatusError:
    """Make the error of an answer that is no success."""
    request_id = answer.headers.get("x-request-id", sent_id)
    after = _retry.retry_after(answer.headers)
    told = _retry.told(answer.headers)
    try:
        body = ErrorResponse.model_validate_json(answer.body).error
    except ValidationError:
        target = answer.headers.get("location")
        hint = f" It points to {target}: use that address." if target else ""
        return APIStatusError(
            "The answer has no error body of this service, so something between gave it." + hint,
            status=answer.status,
            request_id=request_id,
            retryable=answer.status in _retry.STATUSES if told is None else told,
            retry_after=after,
        )
    return of_body(body, status=answer.status, told=told, retry_after=after)


def of_body(
    body: ErrorBody,
    *,
    status: int | None = None,
    told: bool | None = None,
    retry_after: float | None = None,
) -> APIStatusError:
    """Make the error of an envelope. Without `status` (in a stream) the table gives it."""
    row = _ROWS.get(body.code)
    status = status or (row.status if row else 500)
    if told is None:
        told = row.retryable if row else status in _retry.STATUSES
    return BY_CODE.get(body.code, APIStatusError)(
        body.message,
        status=status,
        kind=body.type,
        code=body.code,
        param=body.param,
        request_id=body.request_id,
        retryable=told,
        retry_after=retry_after,
        details=body.details,
    )


def of_loss(lost: Lost, send: Send, sent_id: str) -> APIConnectionError:
    """Make the error of a request without an answer."""
    kind = APITimeoutError if lost.timed_out else APIConnectionError
    reason = str(lost.cause) or type(lost.cause).__name__
    error = kind(
        f"{send.method} {send.path}: {lost.stage.value}: {reason}",
        request_id=sent_id,
        retryable=lost.stage is not Stage.FINAL,
    )
    error.__cause__ = lost.cause
    return error
