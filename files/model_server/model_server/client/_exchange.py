# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What the flow of a call says to its driver, and what it hears: plain values, no I/O."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Send:
    """Send a request; answer with an `Answer` or a `Lost`. Timeouts are in seconds."""

    method: str
    path: str
    body: bytes | None = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    timeout: float | None
    connect_timeout: float | None
    stream: bool = False


@dataclass(frozen=True)
class Sleep:
    """Wait; answer with None."""

    seconds: float


@dataclass(frozen=True)
class Answer:
    """A response. `headers` have lower-case names.

    `stream` is the open response when a stream was asked for and has begun; `body` is then empty.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    stream: Any = None

    @property
    def successful(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300


class Stage(enum.Enum):
    """How far a request got that has no answer."""

    UNSENT = "no connection was made"
    UNANSWERED = "the connection broke before the answer began"
    FINAL = "sending it again would not help, or could do the work twice"


@dataclass(frozen=True)
class Lost:
    """A request without an answer."""

    stage: Stage
    timed_out: bool
    cause: Exception
