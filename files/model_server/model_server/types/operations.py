# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Answers of the operations surface."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .base import ResponseModel


class Health(ResponseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(ResponseModel):
    """The model is loaded and the canary passed."""

    status: Literal["ready"] = "ready"
    model: str = Field(description="Name of the served model.")
    release: str = Field(description="Release that this process serves.")
