# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The one model of a service, by the name that clients send."""

from __future__ import annotations

from ..errors import ModelNotFound
from ..settings import Settings


def require_model(settings: Settings, name: str) -> None:
    """Raise ModelNotFound unless it is the served model's name."""
    served = settings.service.served_name
    if name != served:
        raise ModelNotFound(
            f"Model {name!r} is not served here; this service serves {served!r}.", param="model"
        )
