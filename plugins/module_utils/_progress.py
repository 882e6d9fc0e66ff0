# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a transfer is, in a small file that whoever waits can read."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any

PACE_SECONDS = 0.5


class Meter:
    """Count the bytes of a run; safe to be fed by several threads.

    ``path`` is the file that the figures are written to at most every ``PACE_SECONDS``, empty for
    none. The figures: ``phase`` (text), ``done`` and ``total`` (bytes, ``total`` is null where it
    is unknown), ``seconds``, ``rate`` (bytes per second), ``left`` (seconds, or null), ``percent``.
    """

    def __init__(self, path: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._begun = clock()
        self._written = float("-inf")
        self._phase = "listing"
        self._done = 0
        self._total: int | None = None

    def begin(self, phase: str, total: int | None) -> None:
        """Start to count ``total`` bytes for ``phase``."""
        with self._lock:
            self._phase, self._total, self._done = phase, total, 0
            self._begun = self._clock()
            self._write()

    def add(self, size: int) -> None:
        """Count ``size`` more bytes; a negative one takes back what has to be done again."""
        with self._lock:
            self._done += size
            if self._clock() - self._written >= PACE_SECONDS:
                self._write()

    def figures(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        seconds = max(self._clock() - self._begun, 1e-9)
        rate = self._done / seconds
        left = (self._total - self._done) / rate if self._total is not None and rate else None
        percent = 100.0 * self._done / self._total if self._total else None
        return {
            "phase": self._phase,
            "done": self._done,
            "total": self._total,
            "seconds": round(seconds, 3),
            "rate": int(rate),
            "left": None if left is None else round(max(left, 0.0), 1),
            "percent": None if percent is None else round(min(percent, 100.0), 1),
        }

    def _write(self) -> None:
        self._written = self._clock()
        if not self._path:
            return
        with open(self._path + ".new", "w", encoding="utf-8") as stream:
            json.dump(self.figures(), stream)
        os.replace(self._path + ".new", self._path)
