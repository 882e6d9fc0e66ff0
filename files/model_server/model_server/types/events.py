# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Server-Sent Events, as OpenAPI documents them: one event, of which a stream has many."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .base import ResponseModel


class ServerSentEvent(ResponseModel):
    """One event of a stream; its name is always the default."""

    event: Literal["message"] = "message"
    data: str = Field(
        description="JSON; see the description of the path.",
        json_schema_extra={"contentMediaType": "application/json"},
    )
