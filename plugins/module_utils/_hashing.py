# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hashes of files: SHA-256, and the SHA-1 that git gives to a blob; many files on all cores."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

CHUNK = 1 << 20
MAX_THREADS = 64  # of CHUNK bytes each: what hashing takes of the memory stays below 64 MiB

Count = Callable[[int], object]


def ignore(_size: int) -> None:
    """Count nothing."""


class FileDigest:
    """Hash one file while its bytes pass by.

    ``git_size`` is the size in bytes that the file is expected to have; git hashes it before the
    content, so the git hash exists only when it is known.
    """

    def __init__(self, git_size: int | None = None) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._git = None
        if git_size is not None:
            # Git's object format: "blob <size>\0<content>". It names content and keeps no secret.
            self._git = hashlib.sha1(b"blob %d\0" % git_size, usedforsecurity=False)

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Add the next bytes of the file. Other threads run meanwhile."""
        self.size += len(data)
        self._sha256.update(data)
        if self._git is not None:
            self._git.update(data)

    def value(self, kind: str) -> str:
        """Return the hex hash of ``kind``: ``sha256`` or ``git_sha1``."""
        if kind == "sha256":
            return self._sha256.hexdigest()
        if kind == "git_sha1" and self._git is not None:
            return self._git.hexdigest()
        raise ValueError(f"no hash of kind '{kind}' was computed")


class Unreadable(FileDigest):
    """Stands for a file of which the disk, or fs-verity, refuses a part: no hash is its own."""

    def value(self, kind: str) -> str:
        """Return what equals no hash."""
        return "unreadable"


def digest_file(path: str, git_size: int | None = None, count: Count = ignore) -> FileDigest:
    """Return the digest of the whole file at ``path``. Raises ``OSError``.

    ``count`` is called with the bytes of each step.
    """
    digest = FileDigest(git_size)
    with open(path, "rb", buffering=0) as stream:
        handle = stream.fileno()
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        view = memoryview(bytearray(max(min(CHUNK, os.fstat(handle).st_size), 1)))
        while True:
            size = stream.readinto(view)
            if not size:
                return digest
            digest.update(view[:size])
            count(size)


def digest_files(wanted: Mapping[str, int | None], count: Count = ignore) -> dict[str, FileDigest]:
    """Return the digests of several files by path, hashed on all cores. Raises ``OSError``.

    A file that cannot be read to its end (EIO) is ``Unreadable``.

    ``wanted`` maps each path to its ``git_size``, none where no git hash is needed.
    """
    # The largest file first: begun last, it would keep one core busy while the others have ended.
    paths = sorted(wanted, key=os.path.getsize, reverse=True)
    with ThreadPoolExecutor(max_workers=max(1, min(cores(), len(paths), MAX_THREADS))) as pool:
        jobs = {path: pool.submit(_digest, path, wanted[path], count) for path in paths}
        try:
            return {path: job.result() for path, job in jobs.items()}
        finally:
            for job in jobs.values():
                job.cancel()


def _digest(path: str, git_size: int | None, count: Count) -> FileDigest:
    try:
        return digest_file(path, git_size, count)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return Unreadable()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def sha256_file(path: str) -> str:
    """Return the SHA-256 of the file at ``path`` in hex. Raises ``OSError``."""
    return digest_file(path).value("sha256")
