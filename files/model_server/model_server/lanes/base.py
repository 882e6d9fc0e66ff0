# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What the runtime asks of a lane."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """What one request cost, in seconds; `batch_items` is its largest batch."""

    queue: float
    inference: float
    batch_items: int = 1


class Lane(ABC):
    """The way of requests to one engine, with bounds."""

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether requests can be computed."""

    @property
    @abstractmethod
    def queued_tokens(self) -> int:
        """Tokens that wait."""

    @abstractmethod
    def start(self) -> None:
        """Warm up and take requests; after the fork, never before."""

    @abstractmethod
    def try_canary(self, timeout: float) -> None:
        """Compute a fixed request before all that wait; raise if it fails or takes longer."""

    @abstractmethod
    def stop(self, timeout: float) -> None:
        """Finish admitted work within `timeout` seconds and refuse the rest."""
