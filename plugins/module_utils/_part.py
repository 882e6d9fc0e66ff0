# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file in the making: written in the caller's thread, hashed in another, flushed in a third."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from ._hashing import FileDigest

PART = ".part"
CHUNK = 4 << 20  # the kernel takes few large writes at half the cost of many small ones
BUFFERS = 4  # of CHUNK bytes each: what one file takes of the memory at most
FLUSH_BYTES = 64 << 20


class Part:
    """The bytes at the path ``name`` so far; ``size`` counts them.

    ``whole`` is how many there are to be, where that is known; with ``git`` they get git's hash,
    too. Writing and hashing overlap from the second ``CHUNK`` on, so that a small file needs no
    thread.
    What is written goes to the disk early; ``finish`` then has little left to wait for.
    """

    def __init__(self, name: str, whole: int | None = None, git: bool = False) -> None:
        self.size = 0
        self._git_size = whole if git else None
        self._digest = FileDigest(self._git_size)
        # One byte more than the whole file, so that one that is too long is noticed.
        self._chunk = CHUNK if whole is None else min(CHUNK, whole + 1)
        self._idle: list[memoryview] = []
        self._busy: deque[tuple[Future[None], memoryview]] = deque()
        self._flushes: list[Future[None]] = []
        self._unflushed = 0
        self._file = open(name, "a+b", buffering=0)  # noqa: SIM115 - closed by close()
        self._hasher = ThreadPoolExecutor(max_workers=1)
        self._flusher = ThreadPoolExecutor(max_workers=1)

    def read_back(self, limit: int | None) -> None:
        """Hash what an earlier run left; more than ``limit`` bytes are of no use and go."""
        if limit is not None and os.fstat(self._file.fileno()).st_size > limit:
            self._file.truncate(0)
        self._file.seek(0)
        while True:
            view = self.buffer()
            size = self._file.readinto(view)
            if not size:
                break
            self._hash(view, size)

    def buffer(self) -> memoryview:
        """Return a buffer to fill. It waits while all are being hashed."""
        if self._idle:
            return self._idle.pop()
        if self._busy and (len(self._busy) >= BUFFERS or self._busy[0][0].done()):
            job, view = self._busy.popleft()
            job.result()
            return view
        return memoryview(bytearray(self._chunk))

    def add(self, view: memoryview, size: int) -> None:
        """Append the first ``size`` bytes of a buffer that ``buffer`` gave. Raises ``OSError``."""
        self._hash(view, size)
        rest = view[:size]
        while rest:
            rest = rest[self._file.write(rest) :]
        self._unflushed += size
        if self._unflushed >= FLUSH_BYTES and all(job.done() for job in self._flushes):
            self._flushes.append(self._flusher.submit(os.fdatasync, self._file.fileno()))
            self._unflushed = 0

    def restart(self) -> None:
        """Forget all bytes."""
        self._drain()
        self._file.truncate(0)
        self._digest = FileDigest(self._git_size)
        self.size = 0

    def finish(self) -> FileDigest:
        """Have all bytes on the disk, and return their digest. Raises ``OSError``."""
        self._drain()
        # A failed write-back is reported once: the last call alone would not see it.
        for job in self._flushes:
            job.result()
        os.fsync(self._file.fileno())
        return self._digest

    def close(self) -> None:
        """End the threads and close the file; what was written stays."""
        with suppress(OSError):
            self._drain()
        self._hasher.shutdown()
        self._flusher.shutdown()
        self._file.close()

    def _hash(self, view: memoryview, size: int) -> None:
        if not self._busy and self.size + size <= CHUNK:
            self._digest.update(view[:size])
            self._idle.append(view)
        else:
            self._busy.append((self._hasher.submit(self._digest.update, view[:size]), view))
        self.size += size

    def _drain(self) -> None:
        while self._busy:
            job, view = self._busy.popleft()
            job.result()
            self._idle.append(view)
