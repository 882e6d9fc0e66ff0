# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""One way in and out for every request: id, admission, error envelope, log line, metrics."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

import structlog
from apiflask import APIFlask, HTTPError
from flask import Response, current_app, g, jsonify, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException
from werkzeug.routing.exceptions import WebsocketMismatch

from ..errors import (
    InternalError,
    InvalidRequest,
    MalformedRequest,
    MethodNotAllowed,
    RouteNotFound,
    ServiceError,
    TooLarge,
    UnsupportedMediaType,
)
from ..lanes.base import Timing
from ..metrics import Metrics
from ..records import PROBES, Observer, RequestRecord
from ..security.access import Access, Admission
from ..types import ErrorBody, ErrorResponse
from ._scopes import for_operators, scope_of

_log = structlog.get_logger("model_server.requests")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_PROBLEMS_NAMED = 3
# What may stand in a client's name beside letters, digits and `_.-~`.
_PLAIN = " @:+/"
OBSERVERS = "model_server_observers"

_BY_STATUS: dict[int, tuple[type[ServiceError], str]] = {
    400: (MalformedRequest, "The body cannot be read: it must be JSON in UTF-8."),
    404: (RouteNotFound, "There is no such path."),
    405: (MethodNotAllowed, "The path exists, but not with this method."),
    413: (TooLarge, "The body exceeds the size that this service accepts."),
    415: (UnsupportedMediaType, "The body must be sent as `Content-Type: application/json`."),
    422: (InvalidRequest, "The body is JSON, but not what this path accepts."),
}


def install(app: APIFlask, access: Access, observers: Sequence[Observer]) -> None:
    """Install the envelope on the application, not on blueprints: they cannot see a 404.

    Each observer is told of every request, after the last byte of its answer.
    """

    observers = app.extensions[OBSERVERS] = list(observers)

    @app.before_request
    def open_request() -> None:
        sent = request.headers.get("X-Request-ID", "")
        request_id = sent if _REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex
        address = access.locate(request.remote_addr or "", request.headers.get("X-Forwarded-For"))
        g.record = RequestRecord(request_id, request.method, address=address)
        g.started = time.perf_counter()
        if for_operators(request.path) and not access.is_operator(address):
            raise RouteNotFound(_BY_STATUS[404][1])

    # First of all: it takes Werkzeug's exceptions too, without their headers.
    @app.error_processor
    def answer_apiflask_error(error: HTTPError) -> Response:
        return _answer(_translate(error.status_code, detail=error.detail))

    @app.errorhandler(ServiceError)
    def answer_service_error(error: ServiceError) -> Response:
        return _answer(error)

    @app.errorhandler(HTTPException)
    def answer_http_exception(error: HTTPException) -> Response:
        if isinstance(error, WebsocketMismatch):
            return _answer(MalformedRequest("This path takes WebSocket connections only."))
        return _answer(_translate(error.code or 500, headers=_allow_header(error)))

    @app.errorhandler(Exception)
    def answer_unforeseen(error: Exception) -> Response:
        _log.error("unforeseen", request_id=g.record.request_id, exc_info=error)
        return _answer(InternalError("The server failed; its log holds the request id."))

    @app.after_request
    def close_request(response: Response) -> Response:
        record: RequestRecord = g.record
        started: float = g.started
        admission: Admission | None = g.get("admission")
        record.route = str(request.url_rule) if request.url_rule else "unmatched"
        record.status = response.status_code
        response.headers["X-Request-ID"] = record.request_id
        if admission is not None:
            response.headers.update(admission.headers)
            if admission.client.method != "none":
                # For the edge's log; a name may be any text, a header is ASCII.
                response.headers["X-Client-Name"] = quote(admission.client.name, safe=_PLAIN)

        def end() -> None:
            if admission is not None:
                admission.release(record.tokens)
            conclude(observers, record, started)

        if response.is_streamed:
            response.call_on_close(end)
        else:
            end()
        return response


def conclude(observers: Iterable[Observer], record: RequestRecord, started: float) -> None:
    """Tell the observers of a request that has ended; `started` is of `time.perf_counter`."""
    record.seconds = time.perf_counter() - started
    for observer in observers:
        observer(record)


def count(metrics: Metrics) -> Observer:
    """Observer that counts requests."""

    def observe(record: RequestRecord) -> None:
        metrics.request(record.route, record.status, record.code, record.seconds)

    return observe


def log(record: RequestRecord) -> None:
    """Observer that writes one line a request; never an input."""
    level = "error" if record.status == 500 else "info"
    key = {} if record.client is None else {"key": record.client}
    # At level info probes would drown the clients' requests.
    getattr(_log, "debug" if record.route in PROBES else level)(
        "request",
        request_id=record.request_id,
        route=record.route,
        method=record.method,
        status=record.status,
        milliseconds=round(record.seconds * 1000, 3),
        code=record.code,
        **key,
        **record.facts,
    )


def admit_client(access: Access) -> None:
    """Before a client's request: admit it, then check that its body is declared as JSON."""
    scope = scope_of(str(request.url_rule))
    g.admission = access.admit(dict(request.headers), g.record.address, scope)
    g.record.client = g.admission.client.name
    _require_json()


def admit_stranger(access: Access) -> None:
    """Before a request that may come from anybody: check its address and that its body is JSON."""
    access.check_address(g.record.address)
    _require_json()


def _require_json() -> None:
    if request.method == "POST" and not request.is_json:
        raise UnsupportedMediaType(_BY_STATUS[415][1])
    _limit_chunked_body()


def _limit_chunked_body() -> None:
    """Werkzeug cuts a chunked body at the limit without a word; read one byte more to see it."""
    limit = current_app.config["MAX_CONTENT_LENGTH"]
    if request.content_length is None:
        request.max_content_length = limit + 1
        if len(request.get_data()) > limit:
            raise TooLarge(_BY_STATUS[413][1])


def remember(texts: Iterable[str]) -> RequestRecord:
    """Keep a client's texts for the audit log, before they are computed; return the record."""
    record: RequestRecord = g.record
    record.inputs.extend(texts)
    return record


def note(timing: Timing, *, tokens: int, **facts: Any) -> dict[str, str]:
    """Keep what a request cost for its log line; return it as a Server-Timing header."""
    queue, inference = timing.queue * 1000, timing.inference * 1000
    g.record.tokens = tokens
    g.record.facts |= facts | {
        "tokens": tokens,
        "queue_ms": round(queue, 3),
        "inference_ms": round(inference, 3),
        "batch_items": timing.batch_items,
    }
    return {"Server-Timing": f"queue;dur={queue:.1f}, inference;dur={inference:.1f}"}


def envelope(error: ServiceError, request_id: str) -> ErrorResponse:
    """The body of a failure."""
    return ErrorResponse(
        error=ErrorBody(
            message=error.message,
            type=error.type,
            code=error.code,
            param=error.param,
            request_id=request_id,
            details=None if error.details is None else dict(error.details),
        )
    )


def invalid(error: ValidationError) -> ServiceError:
    """The failure that a body's validation answers, for what does not come as a body."""
    problems: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False, include_input=False):
        path = ".".join(map(str, problem["loc"])) or "message"
        problems.setdefault(path, []).append(problem["msg"])
    return _translate(422, detail={"json": problems})


def _answer(error: ServiceError) -> Response:
    g.record.code = error.code
    response = jsonify(envelope(error, g.record.request_id).model_dump())
    response.status_code = error.status
    response.headers.update(error.headers)
    response.headers["x-should-retry"] = "true" if error.retryable else "false"
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _translate(
    status: int, *, detail: Any = None, headers: dict[str, str] | None = None
) -> ServiceError:
    """Give a failure of Flask, Werkzeug or APIFlask its row of our table."""
    if status not in _BY_STATUS:
        return InternalError("The server failed; its log holds the request id.")
    kind, message = _BY_STATUS[status]
    param = None
    problems: dict[str, list[str]] = (detail or {}).get("json", {})
    if problems:
        param = next(iter(problems)).partition(".")[0]
        named = [f"{path}: {texts[0]}" for path, texts in problems.items()]
        message = "; ".join(named[:_PROBLEMS_NAMED])
    return kind(message, param=param, headers=headers)


def _allow_header(error: HTTPException) -> dict[str, str]:
    return {name: value for name, value in error.get_headers() if name == "Allow"}
