# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What the OpenAPI document says of every client path beside its own models."""

from __future__ import annotations

from typing import Any

from ..errors import TABLE
from ..runtime import Runtime
from ..settings import Settings
from ..types import ErrorResponse

_SCHEMES: dict[str, dict[str, Any]] = {
    "api_key": {
        "bearer": {"type": "http", "scheme": "bearer", "description": "API key"},
        "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    },
    "jwt": {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "Token of `POST /login`",
        }
    },
    "none": {},
}


def security_schemes(settings: Settings) -> dict[str, Any]:
    """Return the ways to identify oneself that the service accepts; one of them is enough."""
    return {
        name: scheme
        for method in settings.authentication.methods
        for name, scheme in _SCHEMES[method].items()
    }


def client(
    settings: Settings, summary: str, *statuses: int, description: str = ""
) -> dict[str, Any]:
    """Document a path for clients: what it is, how it fails, and which key it needs.

    Every client may be refused for its address, scope or limits, without saying so.
    """
    return {
        "summary": summary,
        "description": description or None,
        "responses": failures(*sorted({*statuses, 403, 429})),
        "security": list(security_schemes(settings)) or None,
    }


def failures(*statuses: int) -> dict[int, str]:
    """Describe error statuses by the codes that they carry."""
    return {
        status: "; ".join(f"`{row.code}`: {row.__doc__}" for row in TABLE if row.status == status)
        for status in statuses
    }


def complete(spec: Any, runtime: Runtime) -> Any:
    """Add to the document what the decorators cannot say.

    A path that takes a body cannot do without; a chat's answer may be a stream as well; a loaded
    model gives vectors of its own size only.
    """
    operations = [operation for path in spec["paths"].values() for operation in path.values()]
    for operation in operations:
        if "requestBody" in operation:
            operation["requestBody"]["required"] = True
    chat = spec["paths"].get("/v1/chat/completions")
    if chat is not None:
        event = {"$ref": "#/components/schemas/ServerSentEvent"}
        chat["post"]["responses"]["200"]["content"]["text/event-stream"] = {"schema": event}
    embeddings = spec["components"]["schemas"].get("EmbeddingsRequest")
    if embeddings is not None and runtime.ready:
        size = runtime.task.dimensions
        number = next(
            each
            for each in embeddings["properties"]["dimensions"]["anyOf"]
            if each["type"] == "integer"
        )
        number |= {"minimum": size, "maximum": size}
    return spec


def error_schema() -> dict[str, Any]:
    """The envelope's JSON schema in one piece: the document has no place for its parts."""
    schema = ErrorResponse.model_json_schema()
    schema["properties"]["error"] = schema.pop("$defs")["ErrorBody"]
    return schema
