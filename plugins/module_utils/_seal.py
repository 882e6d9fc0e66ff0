# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seal a folder: read-only and root's for people, fs-verity for the bytes where the host has it.

With fs-verity the kernel compares each page that is read with a Merkle tree, and refuses a file
that was changed below the file system (https://docs.kernel.org/filesystems/fsverity.html; the
structures and numbers here are those of include/uapi/linux/fsverity.h).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

FILE_MODE, FOLDER_MODE = 0o444, 0o555
BLOCK_BYTES = 4096
_SHA256 = 1  # FS_VERITY_HASH_ALG_SHA256
# struct fsverity_enable_arg: version, hash_algorithm, block_size, salt_size, salt_ptr, sig_size,
# a reserved number, sig_ptr, eleven reserved numbers.
_ENABLE = struct.Struct("=IIIIQIIQ11Q")
_DIGEST_HEAD = struct.Struct("=HH")  # struct fsverity_digest: algorithm and size, then the digest
_DIGEST_BYTES = 64  # room for the longest that the kernel knows


def _request(direction: int, number: int, size: int) -> int:
    """Return _IOC(direction, 'f', number, size) of include/uapi/asm-generic/ioctl.h.

    The few architectures with other bits, as POWER, answer that they do not know the number.
    """
    return direction << 30 | size << 16 | ord("f") << 8 | number


_WRITE, _READ = 1, 2
ENABLE_VERITY = _request(_WRITE, 133, _ENABLE.size)
MEASURE_VERITY = _request(_WRITE | _READ, 134, _DIGEST_HEAD.size)
# What the kernel says where fs-verity cannot be had: by the file system, by the kernel's build, by
# the page size, or by the rights of a caller who is not root. All else is a failure.
UNSUPPORTED = (
    errno.ENOTTY,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EINVAL,
    errno.ENOPKG,
    errno.EPERM,
    errno.EACCES,
)


def seal(folder: str) -> None:
    """Make all below ``folder`` read-only, and root's if root calls."""
    for path, mode in list(_unsealed(folder)):
        if os.geteuid() == 0:
            os.chown(path, 0, 0)
        os.chmod(path, mode)


def unsealed(folder: str) -> list[str]:
    """Return the paths, relative to ``folder``, whose mode or owner ``seal`` would set again."""
    return sorted(os.path.relpath(path, folder) for path, _mode in _unsealed(folder))


def _unsealed(folder: str) -> Iterator[tuple[str, int]]:
    """Yield what has the wrong mode or owner, and the mode that it should have."""
    for parent, _folders, files in os.walk(folder):
        entries = [(parent, FOLDER_MODE), *((os.path.join(parent, f), FILE_MODE) for f in files)]
        for path, mode in entries:
            status = os.lstat(path)
            owned = os.geteuid() != 0 or (status.st_uid, status.st_gid) == (0, 0)
            if stat.S_IMODE(status.st_mode) != mode or not owned:
                yield path, mode


def protect(folder: str, paths: Iterable[str]) -> dict[str, Any]:
    """Turn fs-verity on for the files ``paths`` of ``folder``, and return what the proof records.

    The bytes must have been hashed before: from here on they cannot change unseen.
    ``{"verity": "enabled", "digests": {path: hex}}``, or ``{"verity": "unsupported", "reason":
    text}``. Raises ``OSError`` for any other failure.
    """
    digests = {}
    for path in paths:
        try:
            digests[path] = enable(os.path.join(folder, path))
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            return {"verity": "unsupported", "reason": error.strerror}
    return {"verity": "enabled", "digests": digests}


def is_protected(folder: str, paths: Iterable[str], record: object) -> bool:
    """Say whether ``record`` is what ``protect`` would return for these files."""
    if not isinstance(record, Mapping):
        return False
    if record.get("verity") == "unsupported":
        return True
    wanted = set(paths)
    return set(recorded_digests(record)) == wanted == measured(folder, record)


def measured(folder: str, record: object) -> set[str]:
    """Return the files whose digest in the kernel is the recorded one.

    Their bytes are those that were hashed when ``record`` was made, or reading them fails.
    """
    return {
        path
        for path, digest in recorded_digests(record).items()
        if _measure(os.path.join(folder, path)) == digest
    }


def recorded_digests(record: object) -> dict[str, str]:
    """Return the digests of a record by path; empty where fs-verity is off."""
    digests = record.get("digests") if isinstance(record, Mapping) else None
    return dict(digests) if isinstance(digests, Mapping) else {}


def enable(path: str) -> str:
    """Turn fs-verity on for the file ``path``, unless it is on, and return its digest in hex.

    A file may have it already as a hard link in another revision. Raises ``OSError``.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        argument = _ENABLE.pack(1, _SHA256, BLOCK_BYTES, 0, 0, 0, 0, 0, *[0] * 11)
        try:
            fcntl.ioctl(handle, ENABLE_VERITY, argument)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
        return _ask(handle)
    finally:
        os.close(handle)


def _measure(path: str) -> str:
    """Return the digest of the file in hex, empty if it has none or cannot be opened."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return ""
    try:
        return _ask(handle)
    except OSError:
        return ""
    finally:
        os.close(handle)


def _ask(handle: int) -> str:
    buffer = bytearray(_DIGEST_HEAD.pack(_SHA256, _DIGEST_BYTES) + bytes(_DIGEST_BYTES))
    fcntl.ioctl(handle, MEASURE_VERITY, buffer)
    _algorithm, size = _DIGEST_HEAD.unpack_from(buffer)
    return bytes(buffer[_DIGEST_HEAD.size : _DIGEST_HEAD.size + size]).hex()
