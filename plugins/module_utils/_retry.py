# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Try again after failures that may pass: exponential backoff with jitter."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ._errors import ModelError

BASE_SECONDS = 0.5
CAP_SECONDS = 60.0

_T = TypeVar("_T")


class TransientError(ModelError):
    """A failure that may pass. ``retry_after`` is the server's own wish in seconds."""

    def __init__(self, message: str, retry_after: float = 0.0, **details: Any) -> None:
        super().__init__(message, "network_error", **details)
        self.retry_after = retry_after


class Backoff:
    """Count failures in a row and wait longer after each; ``retries`` of them are forgiven."""

    def __init__(
        self,
        retries: int,
        sleep: Callable[[float], object] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._retries = retries
        self._sleep = sleep
        self._jitter = jitter
        self._failures = 0

    def reset(self) -> None:
        """Forget earlier failures: there was progress."""
        self._failures = 0

    def wait(self, error: TransientError) -> None:
        """Sleep before the next attempt, or raise ``error`` when no attempt is left."""
        if self._failures >= self._retries:
            raise error
        delay = min(CAP_SECONDS, BASE_SECONDS * 2**self._failures) * (0.5 + self._jitter() / 2)
        self._failures += 1
        self._sleep(max(delay, min(error.retry_after, CAP_SECONDS)))

    def call(self, action: Callable[[], _T]) -> _T:
        """Return what ``action`` returns, trying again after a ``TransientError``."""
        while True:
            try:
                return action()
            except TransientError as error:
                self.wait(error)
