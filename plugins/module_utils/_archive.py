# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees of files on disk: zip and tar archives, which are not trusted, and plain folders."""

from __future__ import annotations

import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from typing import IO, Any, Protocol

from ._download import Bytes, Stream
from ._errors import ModelError
from ._links import follow_tree
from ._manifest import safe_path

# gzip and bz2 report broken data as OSError, zipfile an unknown method as NotImplementedError.
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,
)


class Tree(Protocol):
    """Files by relative name, with their sizes in bytes."""

    path: str
    sizes: dict[str, int]

    def open(self, name: str, offset: int = 0) -> Stream:
        """Open the file ``name`` at ``offset`` bytes. Raises ``ModelError``."""


class Archive:
    """The regular files of the zip or tar (plain, gz, bz2, xz) at ``path``: ``sizes`` by name.

    Absolute names, ``..``, links, devices, encrypted and repeated members are refused for the
    whole archive (``archive_invalid``); nobody puts them into a model by accident. ``file`` is the
    open zip where it does not lie on this host; ``path`` then only names it.
    """

    def __init__(self, path: str, file: IO[bytes] | None = None) -> None:
        self.path = path
        self.sizes: dict[str, int] = {}
        self._members: dict[str, zipfile.ZipInfo | tarfile.TarInfo] = {}
        self._archive: Any
        try:
            if file is not None:
                self._archive = zipfile.ZipFile(file)
                self._add_zip(self._archive)
            elif zipfile.is_zipfile(path):
                self._archive = zipfile.ZipFile(path)
                self._add_zip(self._archive)
            else:
                self._archive = tarfile.open(path)  # noqa: SIM115
                self._add_tar(self._archive)
        except _BROKEN as error:
            raise self._invalid(f"cannot be read as zip or tar ({error})") from error

    def open(self, name: str, offset: int = 0) -> Stream:
        """Open the member ``name`` at ``offset`` bytes. Raises ``ModelError``."""
        member = self._members.get(name)
        if member is None:
            raise ModelError(f"{self.path} has no file '{name}'.", "file_missing", file=name)
        try:
            raw = (
                self._archive.open(member)
                if isinstance(member, zipfile.ZipInfo)
                else self._archive.extractfile(member)
            )
            raw.seek(offset)
        except _BROKEN as error:
            raise self._invalid(f"has a broken member '{name}' ({error})") from error
        return Stream(_Member(raw, self, name), offset, self.sizes[name], self.path)

    def broken_member(self, name: str, error: Exception) -> ModelError:
        """Return the error for a member that cannot be unpacked."""
        return self._invalid(f"has a broken member '{name}' ({error})")

    def close(self) -> None:
        """Close the archive's file."""
        self._archive.close()

    def _add_zip(self, archive: zipfile.ZipFile) -> None:
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise self._invalid(f"has '{info.filename}', which is a link or a device")
            if info.flag_bits & 1:
                raise self._invalid(f"has the encrypted member '{info.filename}'")
            self._add(info.filename, info.file_size, info.is_dir(), info)

    def _add_tar(self, archive: tarfile.TarFile) -> None:
        for info in archive:
            if not (info.isreg() or info.isdir()):
                raise self._invalid(f"has '{info.name}', which is a link or a device")
            self._add(info.name, info.size, info.isdir(), info)

    def _add(
        self, name: str, size: int, folder: bool, member: zipfile.ZipInfo | tarfile.TarInfo
    ) -> None:
        plain = name.removeprefix("./")
        if folder and plain.rstrip("/") in ("", "."):
            return
        if not safe_path(plain.rstrip("/") if folder else plain):
            raise self._invalid(f"has the unsafe name {name!r}")
        if folder:
            return
        if plain in self.sizes:
            raise self._invalid(f"has '{plain}' twice")
        self.sizes[plain] = size
        self._members[plain] = member

    def _invalid(self, what: str) -> ModelError:
        return ModelError(
            f"The archive {self.path} {what}. Nothing was extracted; get the archive again from a "
            "source that you trust.",
            "archive_invalid",
            archive=self.path,
        )


class _Member:
    """A member whose decompression errors are ours."""

    def __init__(self, raw: Bytes, archive: Archive, name: str) -> None:
        self._raw = raw
        self._archive = archive
        self._name = name

    def read(self, size: int) -> bytes:
        try:
            return self._raw.read(size)
        except _BROKEN as error:
            raise self._archive.broken_member(self._name, error) from error

    def readinto(self, view: memoryview) -> int:
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._raw.close()


class Folder:
    """The files below the folder ``path``: ``sizes`` by name.

    ``below`` limits them to one folder in it: empty, or a name that ends in ``/``. Links are
    followed as long as they stay inside ``path``; others are refused (``unsafe_path``).
    """

    def __init__(self, path: str, below: str = "") -> None:
        self.path = path
        self._places = follow_tree(path, below)
        self.sizes = {name: os.path.getsize(place) for name, place in self._places.items()}

    def open(self, name: str, offset: int = 0) -> Stream:
        """Open the file ``name`` at ``offset`` bytes. Raises ``ModelError``."""
        if name not in self.sizes:
            raise ModelError(f"{self.path} has no file '{name}'.", "file_missing", file=name)
        raw = open(self._places[name], "rb")  # noqa: SIM115
        raw.seek(offset)
        return Stream(raw, offset, self.sizes[name], self.path)
