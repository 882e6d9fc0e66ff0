# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Counting windows in the memory of this process."""

from __future__ import annotations

import threading
from collections.abc import Callable

from limits.storage import Storage

_FIRST_SWEEP = 1024


class MemoryWindows(Storage):
    """A storage of `limits`, exact between threads.

    The library's own MemoryStorage starts a thread each 10 ms of traffic that walks all keys, which
    a client with many addresses turns into load; two threads may there lose a count; and it cannot
    be given a clock. This one drops ended windows when their number has doubled.
    """

    STORAGE_SCHEME = None

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[str, tuple[float, int]] = {}
        self._sweep_at = _FIRST_SWEEP

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """Nothing can fail."""
        return ()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count `amount`; the first of a window opens it for `expiry` seconds."""
        with self._lock:
            end, count = self._live(key) or (self._clock() + expiry, 0)
            self._windows[key] = end, count + amount
            if len(self._windows) >= self._sweep_at:
                self._sweep()
            return count + amount

    def get(self, key: str) -> int:
        """Return the count of the current window."""
        with self._lock:
            return (self._live(key) or (0.0, 0))[1]

    def get_expiry(self, key: str) -> float:
        """Return when the current window ends, by the clock."""
        with self._lock:
            return (self._live(key) or (self._clock(), 0))[0]

    def clear(self, key: str) -> None:
        """Forget a window."""
        with self._lock:
            self._windows.pop(key, None)

    def check(self) -> bool:
        """Memory is always there."""
        return True

    def reset(self) -> int:
        """Forget every window."""
        with self._lock:
            count = len(self._windows)
            self._windows.clear()
            return count

    def _live(self, key: str) -> tuple[float, int] | None:
        window = self._windows.get(key)
        return window if window is not None and window[0] > self._clock() else None

    def _sweep(self) -> None:
        now = self._clock()
        self._windows = {key: window for key, window in self._windows.items() if window[0] > now}
        self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._windows))
