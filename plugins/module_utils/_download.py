# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring one file to disk: hash meanwhile, resume, compare, and only then give it its name."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Protocol

from ._errors import ModelError
from ._hashing import FileDigest
from ._manifest import NO_HASH, SourceHash
from ._part import CHUNK, PART, Part
from ._progress import Meter
from ._retry import Backoff, TransientError

# A read takes about this long: what a broken connection costs, and the pace of the meter.
STEP_SECONDS = 0.05
MIN_STEP = 1 << 16


class Bytes(Protocol):
    """Something that bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none at the end."""

    def readinto(self, view: memoryview, /) -> int | None:
        """Fill ``view`` as far as it goes; return how far."""

    def close(self) -> None:
        """Give it back."""


@dataclass
class Stream:
    """Bytes of a file from ``offset`` on; ``total`` is the whole file's size where it is known.

    ``place`` names the origin in messages; ``host`` is where the bytes come from, empty where no
    network is between.
    """

    raw: Bytes
    offset: int
    total: int | None
    place: str
    host: str = ""

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, none at the end. Raises ``TransientError``."""
        try:
            return self.raw.read(size)
        except (OSError, HTTPException, EOFError) as error:
            raise self._broken(error) from error

    def readinto(self, view: memoryview) -> int:
        """Fill ``view`` as far as it goes; return how far, 0 at the end. Raises as ``read``."""
        try:
            return self.raw.readinto(view) or 0
        except (OSError, HTTPException, EOFError) as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> TransientError:
        return TransientError(
            f"{self.place} broke off: {str(error) or type(error).__name__}. "
            "Check the network; the next run continues there."
        )

    def close(self) -> None:
        """Give the connection or the file back."""
        self.raw.close()


Open = Callable[[int], Stream]


@dataclass(frozen=True)
class Expected:
    """What is known of a file before its bytes: ``size`` in bytes, and the hash."""

    size: int | None = None
    hash: SourceHash = NO_HASH


@dataclass(frozen=True)
class Fetched:
    """A file that has arrived: ``received`` counts the bytes that were read for it."""

    size: int
    sha256: str
    received: int


class Stopped(Exception):
    """Whoever waits for the file wants it no more; its ``.part`` stays."""


@dataclass(frozen=True)
class Watch:
    """Who looks on: ``meter`` counts the bytes, ``stop`` ends the work."""

    meter: Meter = field(default_factory=Meter)
    stop: threading.Event = field(default_factory=threading.Event)


def download(
    name: str,
    open_at: Open,
    target: str,
    expected: Expected,
    backoff: Backoff,
    watch: Watch | None = None,
) -> Fetched:
    """Write the file ``name`` to ``target`` through ``target.part`` and return what arrived.

    A ``.part`` of an earlier run is continued. Bytes that turn out wrong are fetched once more
    from the start. Raises ``ModelError``: ``hash_mismatch``, ``size_mismatch``, ``disk_full``,
    ``network_error``, or what ``open_at`` raises; ``Stopped``. ``target`` then does not exist.
    """
    job = _Job(name, open_at, target + PART, expected, backoff, watch or Watch())
    try:
        digest = job.run()
    except _WrongBytes:
        os.unlink(target + PART)
        try:
            digest = job.run()
        except _WrongBytes as error:
            os.unlink(target + PART)
            raise error.failure from None
    os.replace(target + PART, target)
    return Fetched(digest.size, digest.value("sha256"), job.received)


class _WrongBytes(Exception):
    def __init__(self, failure: ModelError) -> None:
        super().__init__(failure.message)
        self.failure = failure


class _Job:
    def __init__(
        self,
        name: str,
        open_at: Open,
        part: str,
        expected: Expected,
        backoff: Backoff,
        watch: Watch,
    ) -> None:
        self._name = name
        self._open_at = open_at
        self._part = part
        self._expected = expected
        self._backoff = backoff
        self._watch = watch
        self._furthest = 0
        self._step = MIN_STEP
        self.received = 0

    def run(self) -> FileDigest:
        os.makedirs(os.path.dirname(self._part), exist_ok=True)
        git = self._expected.hash.kind == "git_sha1"
        with closing(Part(self._part, self._expected.size, git)) as part:
            part.read_back(self._expected.size)
            self._watch.meter.skip(part.size)
            try:
                self._complete(part)
                digest = part.finish()
                self._check(digest)
            except _WrongBytes:
                self._watch.meter.skip(-part.size)
                raise
        return digest

    def _complete(self, part: Part) -> None:
        while part.size != self._expected.size:
            try:
                self._continue(part)
                break
            except TransientError as error:
                self._backoff.wait(error)

    def _continue(self, part: Part) -> None:
        """Write one stream to its end; the digest always covers exactly what was written."""
        if self._watch.stop.is_set():
            raise Stopped
        with closing(self._open(part.size)) as stream:
            if stream.offset == 0:
                self._watch.meter.skip(-part.size)
                part.restart()
            elif stream.offset != part.size:
                raise TransientError(
                    f"{stream.place} sent '{self._name}' from byte {stream.offset} instead of "
                    f"{part.size}. Use another endpoint."
                )
            self._check_announced(stream)
            if stream.total is not None:
                check_room(os.path.dirname(self._part), stream.total - part.size)
            while self._receive(stream, part):
                if self._expected.size is not None and part.size > self._expected.size:
                    raise _WrongBytes(self._wrong_size(part.size, stream.place))
        whole = self._expected.size if self._expected.size is not None else stream.total
        if whole is not None and part.size < whole:
            raise TransientError(
                f"{stream.place} broke off '{self._name}' after {part.size} of {whole} "
                "bytes. Check the network; the next run continues there."
            )

    def _open(self, offset: int) -> Stream:
        try:
            return self._open_at(offset)
        except ModelError as error:
            # A hub may have the path in the query of its address, which no message shows.
            if self._name not in error.message:
                error.message = f"'{self._name}': {error.message}"
            raise

    def _receive(self, stream: Stream, part: Part) -> bool:
        """Move what one buffer holds; say whether there may be more. Nothing that came is lost."""
        view = part.buffer()
        filled = 0
        try:
            while filled < len(view):
                if self._watch.stop.is_set():
                    raise Stopped
                begun = time.monotonic()
                size = stream.readinto(view[filled : filled + self._step])
                if not size:
                    return False
                filled += size
                quick = time.monotonic() - begun < STEP_SECONDS
                self._step = min(self._step * 2, CHUNK) if quick else max(self._step // 2, MIN_STEP)
                self._watch.meter.add(size, stream.host)
            return True
        finally:
            part.add(view, filled)
            self.received += filled
            if part.size > self._furthest:
                self._furthest = part.size
                self._backoff.reset()

    def _check_announced(self, stream: Stream) -> None:
        if None not in (self._expected.size, stream.total) and stream.total != self._expected.size:
            raise self._wrong_size(stream.total, stream.place)

    def _wrong_size(self, found: int | None, place: str) -> ModelError:
        return ModelError(
            f"'{self._name}' from {place} has {found} bytes, expected are {self._expected.size}. "
            "The source does not hold the agreed file; check lock, revision and mirror.",
            "size_mismatch",
            file=self._name,
            expected=self._expected.size,
            found=found,
        )

    def _check(self, digest: FileDigest) -> None:
        kind, value = self._expected.hash.kind, self._expected.hash.value
        if kind == "none" or digest.value(kind) == value:
            return
        raise _WrongBytes(hash_mismatch(self._name, kind, value, digest.value(kind)))


def check_room(folder: str, needed: int) -> None:
    """Raise ``ModelError`` (``disk_full``) if ``folder`` has no room for ``needed`` more bytes."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ModelError(
            f"{needed} more bytes are needed, but {folder} has {free} free. "
            "Make room or use another store.",
            "disk_full",
            needed=needed,
            free=free,
        )


def hash_mismatch(name: str, kind: str, expected: str, found: str) -> ModelError:
    """Return the error for a file whose bytes are not the agreed ones."""
    return ModelError(
        f"'{name}' has the {kind} {found}, expected is {expected}. Nothing was put in place. "
        "The source or the way to it changed the file; check lock, revision and mirror.",
        "hash_mismatch",
        file=name,
        kind=kind,
        expected=expected,
        found=found,
    )
