# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The envelope of every failure; the shape is OpenAI's."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from .base import ResponseModel, absent


class ErrorBody(ResponseModel):
    """One failure."""

    message: str = Field(description="What happened and what to do.")
    type: str = Field(description="Class of the failure.")
    code: str = Field(description="Stable identifier of the failure.")
    param: str | None = Field(default=None, description="Field at fault.")
    request_id: str = Field(description="Identifier that also stands in the server's log.")
    details: dict[str, Any] | None = Field(
        default=None, exclude_if=absent, description="Further facts."
    )


class ErrorResponse(ResponseModel):
    """Body of every failure."""

    error: ErrorBody
