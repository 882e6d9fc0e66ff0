# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hashes of files: SHA-256, and the SHA-1 that git gives to a blob."""

from __future__ import annotations

import hashlib

CHUNK = 1 << 18


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

    def update(self, data: bytes) -> None:
        """Add the next bytes of the file."""
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


def digest_file(path: str, git_size: int | None = None) -> FileDigest:
    """Return the digest of the whole file at ``path``. Raises ``OSError``."""
    digest = FileDigest(git_size)
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            digest.update(chunk)
    return digest


def sha256_file(path: str) -> str:
    """Return the SHA-256 of the file at ``path`` in hex. Raises ``OSError``."""
    return digest_file(path).value("sha256")
