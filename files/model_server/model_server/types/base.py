# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Bases of the wire models."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1)]


def absent(value: object) -> bool:
    """Leave a field out of a response when it has no value."""
    return value is None


class RequestModel(BaseModel):
    """A request body: no conversion between types, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ResponseModel(BaseModel):
    """A response body."""

    model_config = ConfigDict(frozen=True)
