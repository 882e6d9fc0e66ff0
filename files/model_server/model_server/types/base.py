# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Bases of the wire models."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

TEXT_CHARACTERS = 131_072


def _whole(value: object) -> object:
    """JSON has one kind of number: 3.0 is a whole number as well (JSON Schema, 6.1.1)."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# Long enough for every model's context; what tokenizers do with NUL differs, so it is refused.
Text = Annotated[str, Field(min_length=1, max_length=TEXT_CHARACTERS, pattern=r"^[^\x00]*$")]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1), BeforeValidator(_whole)]
One = Annotated[int, Field(ge=1, le=1), BeforeValidator(_whole)]
Count = Annotated[int, Field(ge=1, le=1_000_000), BeforeValidator(_whole)]


def absent(value: object) -> bool:
    """Leave a field out of a response when it has no value."""
    return value is None


class RequestModel(BaseModel):
    """A request body: no conversion between types, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ResponseModel(BaseModel):
    """A response body."""

    model_config = ConfigDict(frozen=True)
