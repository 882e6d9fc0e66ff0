# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What is known of one request when it ends: for its log line, the metrics and the audit log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

PROBES = frozenset({"/health", "/healthz", "/ready", "/metrics"})
"""Routes that are asked for every few seconds, by machines."""


@dataclass
class RequestRecord:
    """One request. `inputs` are the client's texts; only the audit log may look at them."""

    request_id: str
    method: str
    route: str = "unmatched"
    status: int = 0
    code: str = "ok"
    seconds: float = 0.0
    address: str = ""
    client: str | None = None
    tokens: int = 0
    inputs: list[str] = field(default_factory=list, repr=False)
    facts: dict[str, Any] = field(default_factory=dict)


Observer = Callable[[RequestRecord], None]
"""Who is told of each request when its last byte was sent; it must not raise."""
