# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What client paths share: who is served here, and how a batch task's answer leaves."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify

from ..errors import ModelNotFound
from ..lanes.base import Timing
from ..settings import ServiceSettings
from ..tasks.encoder import EncoderResult
from ._envelope import note


def require_model(service: ServiceSettings, name: str) -> None:
    """Refuse the name of another model."""
    if name != service.served_name:
        raise ModelNotFound(
            f"Model {name!r} is not served here; this service serves {service.served_name!r}.",
            param="model",
        )


def respond(body: Any, result: EncoderResult, timing: Timing, inputs: int) -> Response:
    """Answer with a body, and tell in headers what it cost and how many inputs were cut."""
    response = jsonify(body)
    response.headers.update(
        note(timing, inputs=inputs, tokens=result.tokens, truncated=result.truncated)
    )
    response.headers["X-Truncated-Inputs"] = str(result.truncated)
    return response
