# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What the OpenAPI document says of every client path beside its own models."""

from __future__ import annotations

from typing import Any

from ..errors import TABLE

SECURITY_SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "API key"},
    "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def failures(*statuses: int) -> dict[int, str]:
    """Describe error statuses by the codes that they carry."""
    return {
        status: "; ".join(f"`{row.code}`: {row.__doc__}" for row in TABLE if row.status == status)
        for status in statuses
    }
