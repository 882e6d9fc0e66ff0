# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring one file to disk: hash while writing, resume, compare, and only then give it its name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPException
from typing import IO, Protocol

from ._errors import ModelError
from ._hashing import CHUNK, FileDigest
from ._manifest import NO_HASH, SourceHash
from ._retry import Backoff, TransientError

PART = ".part"


class Bytes(Protocol):
    """Something that bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none at the end."""

    def close(self) -> None:
        """Give it back."""


@dataclass
class Stream:
    """Bytes of a file from ``offset`` on; ``total`` is the whole file's size where it is known.

    ``place`` names the origin in messages.
    """

    raw: Bytes
    offset: int
    total: int | None
    place: str

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, none at the end. Raises ``TransientError``."""
        try:
            return self.raw.read(size)
        except (OSError, HTTPException, EOFError) as error:
            raise TransientError(
                f"{self.place} broke off: {error or type(error).__name__}. "
                "Check the network; the next run continues there."
            ) from error

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


def download(
    name: str, open_at: Open, target: str, expected: Expected, backoff: Backoff
) -> Fetched:
    """Write the file ``name`` to ``target`` through ``target.part`` and return what arrived.

    A ``.part`` of an earlier run is continued. Bytes that turn out wrong are fetched once more
    from the start. Raises ``ModelError``: ``hash_mismatch``, ``size_mismatch``, ``disk_full``,
    ``network_error``, or what ``open_at`` raises. ``target`` then does not exist.
    """
    job = _Job(name, open_at, target + PART, expected, backoff)
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
        self, name: str, open_at: Open, part: str, expected: Expected, backoff: Backoff
    ) -> None:
        self._name = name
        self._open_at = open_at
        self._part = part
        self._expected = expected
        self._backoff = backoff
        self._digest = self._new_digest()
        self._furthest = 0
        self.received = 0

    def run(self) -> FileDigest:
        os.makedirs(os.path.dirname(self._part), exist_ok=True)
        with open(self._part, "a+b") as out:
            self._read_part(out)
            while self._digest.size != self._expected.size:
                try:
                    self._continue(out)
                    break
                except TransientError as error:
                    self._backoff.wait(error)
            out.flush()
            os.fsync(out.fileno())
        self._check()
        return self._digest

    def _new_digest(self) -> FileDigest:
        return FileDigest(self._expected.size if self._expected.hash.kind == "git_sha1" else None)

    def _restart(self, out: IO[bytes]) -> None:
        out.truncate(0)
        self._digest = self._new_digest()

    def _read_part(self, out: IO[bytes]) -> None:
        """Hash what is there already; more than the whole file is of no use."""
        self._digest = self._new_digest()
        if self._expected.size is not None and os.path.getsize(self._part) > self._expected.size:
            out.truncate(0)
        out.seek(0)
        for chunk in iter(lambda: out.read(CHUNK), b""):
            self._digest.update(chunk)

    def _continue(self, out: IO[bytes]) -> None:
        """Write one stream to its end; the digest always covers exactly what was written."""
        with closing(self._open_at(self._digest.size)) as stream:
            if stream.offset == 0:
                self._restart(out)
            elif stream.offset != self._digest.size:
                raise TransientError(
                    f"{stream.place} sent '{self._name}' from byte {stream.offset} instead of "
                    f"{self._digest.size}. Use another endpoint."
                )
            self._check_announced(stream)
            self._check_room(stream)
            for chunk in iter(lambda: stream.read(CHUNK), b""):
                out.write(chunk)
                self._digest.update(chunk)
                self._count(len(chunk))
                if self._expected.size is not None and self._digest.size > self._expected.size:
                    raise _WrongBytes(self._wrong_size(self._digest.size, stream.place))
        whole = self._expected.size if self._expected.size is not None else stream.total
        if whole is not None and self._digest.size < whole:
            raise TransientError(
                f"{stream.place} broke off '{self._name}' after {self._digest.size} of {whole} "
                "bytes. Check the network; the next run continues there."
            )

    def _count(self, size: int) -> None:
        self.received += size
        if self._digest.size > self._furthest:
            self._furthest = self._digest.size
            self._backoff.reset()

    def _check_announced(self, stream: Stream) -> None:
        if None not in (self._expected.size, stream.total) and stream.total != self._expected.size:
            raise self._wrong_size(stream.total, stream.place)

    def _check_room(self, stream: Stream) -> None:
        if stream.total is not None:
            check_room(os.path.dirname(self._part), stream.total - self._digest.size)

    def _wrong_size(self, found: int | None, place: str) -> ModelError:
        return ModelError(
            f"'{self._name}' from {place} has {found} bytes, expected are {self._expected.size}. "
            "The source does not hold the agreed file; check lock, revision and mirror.",
            "size_mismatch",
            file=self._name,
            expected=self._expected.size,
            found=found,
        )

    def _check(self) -> None:
        kind, value = self._expected.hash.kind, self._expected.hash.value
        if kind == "none" or self._digest.value(kind) == value:
            return
        raise _WrongBytes(hash_mismatch(self._name, kind, value, self._digest.value(kind)))


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
