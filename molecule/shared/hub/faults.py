# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The faults that the test hub can be told to show, each for a path and a number of times."""

from __future__ import annotations

import threading
from fnmatch import fnmatch

KINDS = {
    "cut": "the connection closes after half of the body",
    "corrupt": "the first byte of the body is flipped",
    "wrong_size": "the listing states one byte too many",
    "no_range": "a Range request is answered with 200 and the whole file",
    "status_403": "the file, or the listing, is answered with 403",
    "status_500": "the file, or the listing, is answered with 500",
    "vanish": "the file is answered with 404 although the listing has it",
    "lost_redirect": "a large file is sent on to a port where nobody listens",
    "stall": "half of the body comes, then nothing until the hub's stall time is over",
}
LISTING = "@listing"  # the path that stands for the list of files itself


class Faults:
    """A thread-safe set of armed faults."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[dict[str, str | int]] = []

    def add(self, kind: str, path: str = "*", count: int = 1) -> None:
        """Arm ``kind`` for ``count`` answers (-1: for ever) about paths matching ``path``.

        Raises ``ValueError`` for an unknown kind.
        """
        if kind not in KINDS:
            raise ValueError(f"unknown fault '{kind}'; choose from {', '.join(sorted(KINDS))}")
        with self._lock:
            self._armed.append({"kind": kind, "path": path, "count": count})

    def take(self, kind: str, path: str) -> bool:
        """Tell whether ``kind`` is armed for ``path``, and use it up once."""
        with self._lock:
            for fault in self._armed:
                left = int(fault["count"])
                if fault["kind"] == kind and left and fnmatch(path, str(fault["path"])):
                    fault["count"] = left - 1 if left > 0 else left
                    return True
        return False

    def armed(self) -> list[dict[str, str | int]]:
        """Return a copy of the faults that still have something to do."""
        with self._lock:
            return [dict(fault) for fault in self._armed if fault["count"]]

    def clear(self) -> None:
        """Disarm everything."""
        with self._lock:
            self._armed.clear()
