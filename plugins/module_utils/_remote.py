# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file on a web server that can be read at any place, by HTTP ranges (RFC 9110, section 14)."""

from __future__ import annotations

import io
import os
from collections.abc import Callable

from ._download import Open, Stream
from ._retry import TransientError

TAIL = 1 << 14  # bytes of the end that are kept: a zip's directory is looked for there
GAP = 1 << 16  # bytes that are read and dropped rather than asked for anew


class NoRanges(Exception):
    """The server sends only whole files, or does not say how long they are."""


class RemoteFile(io.RawIOBase):
    """The file that ``open_at`` opens; ``count`` is told of all bytes that arrive and their host.

    Reading on from where the last read ended goes on in the same answer. Raises ``NoRanges`` when
    the server sends no ranges, and what ``open_at`` raises. The caller tries again: a read that
    failed can be repeated.
    """

    def __init__(self, open_at: Open, count: Callable[[int, str], object]) -> None:
        super().__init__()
        self._open_at = open_at
        self._count = count
        self._stream: Stream | None = None
        self._stream_at = 0
        self._at = 0
        # One byte into the file: a server that knows ranges answers with the rest and the size.
        stream = open_at(1)
        offset, total = stream.offset, stream.total
        stream.close()
        if offset != 1 or total is None:
            raise NoRanges
        self.size = total
        self._tail_at = max(total - TAIL, 1)
        self._tail = b""

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def tell(self) -> int:
        """Return the place in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; nothing is asked for yet."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise OSError("a place before the file's begin")  # as a file on disk refuses it
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes, fewer only at the end of the file."""
        left = max(self.size - self._at, 0)
        size = left if size < 0 else min(size, left)
        if self._at >= self._tail_at:
            begin = self._at - self._tail_at
            data = self._end()[begin : begin + size]
        else:
            data = self._fetch(self._at, size)
        self._at += len(data)
        return data

    def close(self) -> None:
        """Give the connection back."""
        self._drop()
        super().close()

    def _end(self) -> bytes:
        if not self._tail:
            self._tail = self._fetch(self._tail_at, self.size - self._tail_at)
        return self._tail

    def _fetch(self, at: int, size: int) -> bytes:
        """Read exactly ``size`` bytes at ``at``."""
        parts = []
        try:
            stream = self._stream_at_place(at)
            while size:
                data = self._take(stream, size)
                parts.append(data)
                size -= len(data)
        except BaseException:
            self._drop()
            raise
        return b"".join(parts)

    def _stream_at_place(self, at: int) -> Stream:
        if self._stream is not None and 0 <= at - self._stream_at <= GAP:
            while self._stream_at < at:
                self._take(self._stream, at - self._stream_at)
            return self._stream
        self._drop()
        self._stream = stream = self._open_at(at)
        if stream.offset != at:
            raise TransientError(
                f"{stream.place} sent from byte {stream.offset} instead of {at}. "
                "Use another endpoint."
            )
        self._stream_at = at
        return stream

    def _take(self, stream: Stream, size: int) -> bytes:
        data = stream.read(size)
        if not data:
            raise TransientError(f"{stream.place} broke off. Check the network.")
        self._stream_at += len(data)
        self._count(len(data), stream.host)
        return data

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream = None
