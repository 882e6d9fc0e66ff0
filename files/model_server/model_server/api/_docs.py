# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What the OpenAPI document says of every client path beside its own models."""

from __future__ import annotations

from typing import Any

from ..errors import TABLE
from ..settings import Settings
from ..types import ErrorResponse

SECURITY_SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "API key"},
    "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def client(
    settings: Settings, summary: str, *statuses: int, description: str = ""
) -> dict[str, Any]:
    """Document a path for clients: what it is, how it fails, and which key it needs."""
    return {
        "summary": summary,
        "description": description or None,
        "responses": failures(*statuses),
        "security": list(SECURITY_SCHEMES) if settings.authentication.required else None,
    }


def failures(*statuses: int) -> dict[int, str]:
    """Describe error statuses by the codes that they carry."""
    return {
        status: "; ".join(f"`{row.code}`: {row.__doc__}" for row in TABLE if row.status == status)
        for status in statuses
    }


def error_schema() -> dict[str, Any]:
    """The envelope's JSON schema in one piece: the document has no place for its parts."""
    schema = ErrorResponse.model_json_schema()
    schema["properties"]["error"] = schema.pop("$defs")["ErrorBody"]
    return schema
