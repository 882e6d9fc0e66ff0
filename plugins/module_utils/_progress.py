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
        self._skipped = 0
        self._total: int | None = None
        self._hosts: dict[str, int] = {}
        self._fetching: dict[str, Any] | None = None

    def begin(self, phase: str, total: int | None) -> None:
        """Start to count ``total`` bytes for ``phase``."""
        with self._lock:
            self._leave()
            self._phase, self._total, self._done, self._skipped = phase, total, 0, 0
            self._begun = self._clock()
            self._write()

    def add(self, size: int, host: str = "") -> None:
        """Count ``size`` more bytes, which came from ``host`` if they came over the network."""
        with self._lock:
            self._done += size
            if host:
                self._hosts[host] = self._hosts.get(host, 0) + size
            self._pace()

    def skip(self, size: int) -> None:
        """Count bytes that were there before, or take back (negative) what must be done again.

        They are no part of the rate.
        """
        with self._lock:
            self._done += size
            self._skipped += size
            self._pace()

    def received(self, size: int, host: str) -> None:
        """Note bytes from ``host`` that are not what the phase counts."""
        with self._lock:
            self._hosts[host] = self._hosts.get(host, 0) + size

    def transfer(self) -> dict[str, Any] | None:
        """Return the figures of the last phase ``fetching``, and ``hosts``: bytes by host.

        None if nothing was fetched.
        """
        with self._lock:
            self._leave()
            return None if self._fetching is None else {**self._fetching, "hosts": self._hosts}

    def figures(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        seconds = max(self._clock() - self._begun, 1e-9)
        rate = max(self._done - self._skipped, 0) / seconds
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

    def _leave(self) -> None:
        if self._phase == "fetching":
            self._fetching = self.figures()

    def _pace(self) -> None:
        if self._clock() - self._written >= PACE_SECONDS:
            self._write()

    def _write(self) -> None:
        self._written = self._clock()
        if not self._path:
            return
        with open(self._path + ".new", "w", encoding="utf-8") as stream:
            json.dump(self.figures(), stream)
        os.replace(self._path + ".new", self._path)
