# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Every failure a client can see: one closed table of status, type and stable code.

The envelope has OpenAI's shape, so that its clients raise the right exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class ServiceError(Exception):
    """A failure with an answer for the client.

    `param` names the field at fault, `retry_after` is in seconds, `details` is added to the
    envelope, `headers` to the response.
    """

    status: ClassVar[int]
    type: ClassVar[str]
    code: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after: int | None = None,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.details = details
        self.headers = dict(headers or {})


class MalformedRequest(ServiceError):
    """The request cannot be read at all."""

    status, type, code = 400, "invalid_request_error", "malformed_request"


class InvalidRequest(ServiceError):
    """A field is missing, unknown, of the wrong type or out of bounds."""

    status, type, code = 422, "invalid_request_error", "invalid_value"


class Unauthenticated(ServiceError):
    """No key, or an unknown one."""

    status, type, code = 401, "authentication_error", "invalid_api_key"


class InvalidCredentials(ServiceError):
    """The user name or the password is wrong."""

    status, type, code = 401, "authentication_error", "invalid_credentials"


class TokenExpired(ServiceError):
    """The token or key was valid once; get a new one."""

    status, type, code = 401, "authentication_error", "expired"


class AddressNotAllowed(ServiceError):
    """This address may not use the service."""

    status, type, code = 403, "permission_error", "address_not_allowed"


class InsufficientScope(ServiceError):
    """The key or user may not use this path."""

    status, type, code = 403, "permission_error", "insufficient_scope"


class OriginNotAllowed(ServiceError):
    """A page of another site may not open this connection."""

    status, type, code = 403, "permission_error", "origin_not_allowed"


class RouteNotFound(ServiceError):
    """No such path."""

    status, type, code = 404, "not_found_error", "route_not_found"


class ModelNotFound(ServiceError):
    """This service serves another model."""

    status, type, code = 404, "not_found_error", "model_not_found"


class TaskNotOffered(ServiceError):
    """The model cannot do what was asked."""

    status, type, code = 404, "not_found_error", "task_not_offered"


class ConversationNotFound(ServiceError):
    """The caller has no such conversation."""

    status, type, code = 404, "not_found_error", "conversation_not_found"


class MethodNotAllowed(ServiceError):
    """The path exists, but not with this method."""

    status, type, code = 405, "invalid_request_error", "method_not_allowed"


class TooLarge(ServiceError):
    """The body, the number of inputs or their tokens exceed a limit."""

    status, type, code = 413, "invalid_request_error", "too_large"


class UnsupportedMediaType(ServiceError):
    """The body is not declared as JSON."""

    status, type, code = 415, "invalid_request_error", "unsupported_media_type"


class ContextTooLong(ServiceError):
    """The conversation and its answer exceed the model's context."""

    status, type, code = 422, "invalid_request_error", "context_length_exceeded"


class ForbiddenInstruction(ServiceError):
    """The operator does not allow this text or setting."""

    status, type, code = 422, "invalid_request_error", "forbidden_instruction"


class RateLimited(ServiceError):
    """The client has used up its allowance of requests, tokens or concurrency."""

    status, type, code, retryable = 429, "rate_limit_error", "rate_limited", True


class LockedOut(ServiceError):
    """Too many failed logins; wait."""

    status, type, code = 429, "rate_limit_error", "locked_out"


class ClientGone(ServiceError):
    """The client closed its connection before its answer; it stands in log and metrics only."""

    status, type, code = 499, "invalid_request_error", "client_gone"


class InferenceFailed(ServiceError):
    """The engine could not compute this input."""

    status, type, code = 500, "server_error", "engine_error"


class InternalError(ServiceError):
    """Anything unforeseen; the log holds the trace under the request id."""

    status, type, code = 500, "server_error", "internal"


class UpstreamFailed(ServiceError):
    """The server behind this one failed, or does not answer."""

    status, type, code, retryable = 502, "server_error", "upstream_failed", True


class Overloaded(ServiceError):
    """The queue is full, or all places are taken."""

    status, type, code, retryable = 503, "overloaded_error", "overloaded", True


class NotReady(ServiceError):
    """The model is not loaded, or has failed."""

    status, type, code, retryable = 503, "overloaded_error", "not_ready", True


class Draining(ServiceError):
    """The process is stopping."""

    status, type, code, retryable = 503, "overloaded_error", "draining", True


class DeadlineExceeded(ServiceError):
    """The answer did not come within the request's time."""

    status, type, code, retryable = 504, "timeout_error", "deadline_exceeded", True


TABLE: tuple[type[ServiceError], ...] = (
    MalformedRequest,
    Unauthenticated,
    InvalidCredentials,
    TokenExpired,
    AddressNotAllowed,
    InsufficientScope,
    OriginNotAllowed,
    RouteNotFound,
    ModelNotFound,
    TaskNotOffered,
    ConversationNotFound,
    MethodNotAllowed,
    TooLarge,
    UnsupportedMediaType,
    InvalidRequest,
    ContextTooLong,
    ForbiddenInstruction,
    RateLimited,
    LockedOut,
    ClientGone,
    InferenceFailed,
    InternalError,
    UpstreamFailed,
    Overloaded,
    NotReady,
    Draining,
    DeadlineExceeded,
)
