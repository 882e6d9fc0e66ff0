# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Folders as repositories: what the test hub knows about the files that it serves."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

LARGE_SUFFIXES = frozenset({".bin", ".safetensors", ".onnx", ".pt", ".gguf", ".model", ".zip"})
LARGE_BYTES = 10 * 1024 * 1024
ALWAYS_TAG = "v1.0.0"


@cache
def _digests(path: Path, modified: int, size: int) -> tuple[str, str]:
    """Return (SHA-256, Git blob SHA-1) of a file; time and size are part of the cache's key."""
    sha256, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size)
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            sha256.update(block)
            git.update(block)
    return sha256.hexdigest(), git.hexdigest()


@dataclass(frozen=True)
class Entry:
    """A file or a folder of a repository; ``path`` is relative to it, with slashes."""

    path: str
    file: Path

    @property
    def is_folder(self) -> bool:
        return self.file.is_dir()

    @property
    def size(self) -> int:
        """Size in bytes; 0 for a folder."""
        return 0 if self.is_folder else self.file.stat().st_size

    @property
    def sha256(self) -> str:
        return self._digest(0)

    @property
    def git_sha1(self) -> str:
        """The id that Git gives the content: SHA-1 over ``blob <size>\\0`` and the bytes."""
        return self._digest(1)

    @property
    def is_large(self) -> bool:
        """Whether a hub keeps this file outside Git, on its CDN."""
        return not self.is_folder and (
            PurePosixPath(self.path).suffix in LARGE_SUFFIXES or self.size >= LARGE_BYTES
        )

    def _digest(self, index: int) -> str:
        facts = self.file.stat()
        return _digests(self.file, facts.st_mtime_ns, facts.st_size)[index]


class Repository:
    """One revision of ``<owner>/<name>``: the files below one folder."""

    def __init__(self, folder: Path, owner: str, name: str) -> None:
        self.folder = folder
        self.owner = owner
        self.name = name

    @property
    def id(self) -> str:
        return f"{self.owner}/{self.name}"

    @property
    def is_private(self) -> bool:
        return "private" in self.name

    @property
    def commit(self) -> str:
        """A 40-digit id that changes with the content, as a Git commit does."""
        tree = hashlib.sha1()
        for entry in self.entries():
            if not entry.is_folder:
                tree.update(f"{entry.path}\0{entry.sha256}\n".encode())
        return tree.hexdigest()

    def entries(self, root: str = "", recursive: bool = True) -> list[Entry]:
        """Return files and folders below ``root``, sorted by path."""
        base = self.folder / root
        found = base.rglob("*") if recursive else base.glob("*")
        entries = [Entry(path.relative_to(self.folder).as_posix(), path) for path in found]
        return sorted(entries, key=lambda entry: entry.path)

    def entry(self, path: str) -> Entry | None:
        """Return the entry at ``path``, or None when there is none inside the repository."""
        file = Path(os.path.normpath(self.folder / path))
        inside = self.folder in file.parents
        return Entry(path, file) if inside and file.exists() else None


class Shelf:
    """All repositories below one root."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def tags(self, owner: str, name: str) -> list[str]:
        """Return the tags: the one that exists always, and one per folder ``<name>@<tag>``."""
        siblings = (self.root / owner).glob(f"{name}@*")
        return sorted({ALWAYS_TAG} | {path.name.split("@", 1)[1] for path in siblings})

    def find(self, owner: str, name: str, revision: str, branch: str) -> Repository | None:
        """Return the repository at a revision: ``branch``, a tag or a commit; None if unknown."""
        if not (self.root / owner / name).is_dir() or ".." in (owner, name) or "@" in name:
            return None
        newest = Repository(self.root / owner / name, owner, name)
        tagged = {tag: self.root / owner / f"{name}@{tag}" for tag in self.tags(owner, name)}
        versions = {
            tag: Repository(folder, owner, name) if folder.is_dir() else newest
            for tag, folder in tagged.items()
        }
        if revision == branch:
            return newest
        if revision in versions:
            return versions[revision]
        every = [newest, *versions.values()]
        return next((version for version in every if version.commit == revision), None)
