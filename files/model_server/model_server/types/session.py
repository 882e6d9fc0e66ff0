# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Signing in."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .base import RequestModel, ResponseModel


class LoginRequest(RequestModel):
    """Body of `POST /login`."""

    username: Annotated[str, Field(min_length=1, max_length=128)]
    password: Annotated[str, Field(min_length=1, max_length=1024)]


class LoginResponse(ResponseModel):
    """A token, to be sent as `Authorization: Bearer TOKEN`."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # the name of the scheme
    expires_in: int = Field(description="Seconds for which the token is valid.")
