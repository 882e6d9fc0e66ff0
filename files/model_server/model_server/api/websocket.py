# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A chat over a WebSocket: `/ws`.

The handshake carries a key or token, or else the first message does. Then each message is a
`ChatRequest`, each answer a sequence of `ChatEvent`, each failure the body of an error.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import structlog
from apiflask import APIBlueprint
from flask import current_app, g, request
from flask.typing import ResponseReturnValue
from flask_sock import Sock  # type: ignore[import-untyped]
from pydantic import ValidationError

from ..errors import (
    InternalError,
    InvalidRequest,
    MalformedRequest,
    OriginNotAllowed,
    Overloaded,
    ServiceError,
    Unauthenticated,
)
from ..records import Observer, RequestRecord
from ..runtime import Runtime
from ..security.access import Access, Admission
from ..security.conversations import ConversationStore
from ..types import ChatRequest, SocketToken
from ._answer import Answer
from ._conversation import Exchange
from ._envelope import OBSERVERS, conclude, envelope, invalid

_log = structlog.get_logger(__name__)

_AUTHENTICATION_SECONDS = 10
_PING_SECONDS = 25
_POLL_SECONDS = 1.0
# RFC 6455, 7.4.1.
_GOING_AWAY, _POLICY_VIOLATION = 1001, 1008
_CREDENTIAL_HEADERS = ("Authorization", "X-API-Key")


def build(runtime: Runtime, access: Access, store: ConversationStore | None) -> APIBlueprint:
    """Create the blueprint for one runtime; each message is admitted as a request of its own."""
    blueprint = APIBlueprint("websocket", __name__, tag="Chat", enable_openapi=False)
    limits = runtime.settings.limits
    places = threading.BoundedSemaphore(max(1, limits.websockets))
    blueprint.record_once(
        lambda state: state.app.config.update(
            SOCK_SERVER_OPTIONS={
                "ping_interval": _PING_SECONDS,
                "max_message_size": limits.body_bytes,
            }
        )
    )

    @blueprint.before_request
    def check_handshake() -> ResponseReturnValue | None:
        _refuse_foreign_pages()
        if any(name in request.headers for name in _CREDENTIAL_HEADERS):
            g.headers = dict(request.headers)
        elif not runtime.settings.authentication.required:
            g.headers = {}
        if "headers" in g:
            admission = access.admit(g.headers, g.record.address, "chat")
            g.record.client = admission.client.name
            admission.release(0)
        if limits.websockets == 0 or not places.acquire(blocking=False):
            raise Overloaded("All WebSockets are taken; try again later.", retry_after=5)
        g.place = places
        return None

    @blueprint.teardown_request
    def give_back_place(_error: BaseException | None) -> None:
        if "place" in g:
            g.pop("place").release()

    def ws(connection: Any) -> None:
        _limit_sending(connection.sock, limits.websocket_idle_seconds)
        session = _Session(connection, runtime, access, store)
        try:
            session.authenticate()
            session.serve()
        except OSError:
            return
        finally:
            _end_reader(connection)

    Sock().route("/ws", bp=blueprint)(ws)
    return blueprint


class _Session:
    """One open WebSocket."""

    def __init__(
        self, connection: Any, runtime: Runtime, access: Access, store: ConversationStore | None
    ) -> None:
        self._connection = connection
        self._runtime = runtime
        self._access = access
        self._store = store
        self._headers: Mapping[str, str] | None = g.get("headers")
        self._observers: list[Observer] = current_app.extensions[OBSERVERS]
        self._json = current_app.json
        self._address = g.record.address
        self._handshake_id = g.record.request_id

    def authenticate(self) -> None:
        """Take the token of the first message, unless the handshake brought one."""
        if self._headers is not None:
            return
        try:
            message = self._receive(_AUTHENTICATION_SECONDS)
            if message is None:
                raise Unauthenticated('Send {"type": "auth", "token": "..."} first.')
            token = self._parse(SocketToken, message).token
            headers = {"Authorization": f"Bearer {token}"}
            self._access.admit(headers, self._address, "chat").release(0)
        except ServiceError as error:
            self._send_error(error, self._handshake_id)
            self._connection.close(_POLICY_VIOLATION, error.code)
        else:
            self._headers = headers

    def serve(self) -> None:
        """Answer messages one by one, until the client leaves, is idle, or the server stops."""
        idle = self._runtime.settings.limits.websocket_idle_seconds
        while self._connection.connected:
            message = self._receive(idle)
            if message is None:
                self._connection.close(_GOING_AWAY, "idle, or the server stops")
                return
            self._answer(message)

    def _answer(self, message: str | bytes) -> None:
        """Answer one message; it is a request of its own for log, metrics and audit."""
        started = time.perf_counter()
        record = RequestRecord(uuid.uuid4().hex, "WS", "/ws", 200, address=self._address)
        admission: Admission | None = None
        try:
            admission = self._access.admit(self._headers or {}, self._address, "chat")
            record.client = admission.client.name
            exchange = Exchange(self._parse(ChatRequest, message), record.client, self._store)
            record.inputs.extend(each.content for each in exchange.messages)
            answer = Answer(self._runtime, exchange.messages, exchange.options, record, self._gone)
            self._send_answer(exchange, answer)
        except ServiceError as error:
            record.status, record.code = error.status, error.code
            if self._connection.connected:
                self._send_error(error, record.request_id)
        except OSError:
            raise
        except Exception as error:
            record.status, record.code = InternalError.status, InternalError.code
            _log.error("unforeseen", request_id=record.request_id, exc_info=error)
            failure = InternalError("The server failed; its log holds the request id.")
            self._send_error(failure, record.request_id)
        finally:
            if admission is not None:
                admission.release(record.tokens)
            conclude(self._observers, record, started)

    def _send_answer(self, exchange: Exchange, answer: Answer) -> None:
        try:
            for event in exchange.events(answer):
                if self._gone():
                    return
                self._connection.send(event.model_dump_json())
        finally:
            answer.close()

    def _gone(self) -> bool:
        """Whether the client has left; a message that comes meanwhile is refused."""
        while self._connection.connected and self._connection.input_buffer:
            if self._connection.receive(timeout=0) is not None:
                refusal = InvalidRequest("Wait for the end of the answer, then send the next one.")
                self._send_error(refusal, self._handshake_id)
        return not self._connection.connected

    def _receive(self, seconds: float) -> str | bytes | None:
        """The next message; None when none came in that time, or when the server stops."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._runtime.stopping():
            message: str | bytes | None = self._connection.receive(timeout=_POLL_SECONDS)
            if message is not None:
                return message
        return None

    def _parse(self, model: Any, message: str | bytes) -> Any:
        try:
            return model.model_validate(self._json.loads(message))
        except ValidationError as error:
            raise invalid(error) from error
        except ValueError as error:
            raise MalformedRequest("A message must be JSON in UTF-8.") from error

    def _send_error(self, error: ServiceError, request_id: str) -> None:
        self._connection.send(envelope(error, request_id).model_dump_json())


def _end_reader(connection: Any) -> None:
    """End the library's own thread; it would wait for its next ping, and hold up a stop."""
    with suppress(OSError):
        connection.sock.shutdown(socket.SHUT_RDWR)
    connection.thread.join(_POLL_SECONDS)


def _refuse_foreign_pages() -> None:
    """Browsers send the page's origin, and a WebSocket is open to every page otherwise."""
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != request.host.lower():
        raise OriginNotAllowed("Pages of another site may not open a WebSocket here.")


def _limit_sending(connection: socket.socket, seconds: int) -> None:
    """A client that does not read must not keep its place for ever."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", seconds, 0))
