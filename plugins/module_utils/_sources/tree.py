# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sources have in common that hold a whole model in one archive or folder on disk."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable

from .._archive import Tree
from .._download import Stream
from .._errors import ModelError
from .._hashing import CHUNK, FileDigest
from .._manifest import NO_HASH, SourceHash
from .base import Connection, Listing, Source, SourceFile, Wanted


class TreeSource(Source):
    """A source whose files lie in one tree. A subclass says where it is."""

    streams = 1  # the members of an archive share one file

    def __init__(self, wanted: Wanted, connection: Connection) -> None:
        super().__init__(wanted, connection)
        self.local = True
        self._tree: Tree | None = None
        self._proven = False

    @abstractmethod
    def _fetch(self) -> tuple[Tree, bool]:
        """Return the tree, and whether its own hash was expected and is right."""

    def _prepare(self) -> None:
        self._files()

    def _files(self) -> Tree:
        """Return the tree; the first call fetches it and finds the model in it."""
        return self._tree or self._use(*self._fetch())

    def _use(self, tree: Tree, proven: bool) -> Tree:
        self._tree, self._proven = tree, proven
        if not self._prefix:
            self._prefix = find_root(tree.sizes)
        return tree

    def _list(self) -> Listing:
        files = tuple(self._entry(name, size) for name, size in self._files().sizes.items())
        return Listing(self.wanted.revision, files)

    def _open(self, path: str, offset: int) -> Stream:
        return self._files().open(path, offset)

    def _entry(self, name: str, size: int) -> SourceFile:
        if not (self._proven or self.wanted.hash_all) or not name.startswith(self._prefix):
            return SourceFile(name, size)
        digest = FileDigest()
        stream = self._files().open(name)
        try:
            for chunk in iter(lambda: stream.read(CHUNK), b""):
                digest.update(chunk)
        finally:
            stream.close()
        found = SourceHash("sha256", digest.value("sha256"))
        return SourceFile(name, digest.size, found, None if self._proven else NO_HASH)


def find_root(paths: Iterable[str]) -> str:
    """Return the folder of the model among ``paths``: '' or a path that ends in '/'.

    Archives often wrap the model in folders of their own. It is the one folder with a config.json
    (or a GGUF file) that lies in no other such folder. Raises ``ModelError`` (``invalid_option``)
    if there are several.
    """
    homes = {
        path.rpartition("/")[0]
        for path in paths
        if path.rpartition("/")[2] == "config.json" or path.endswith(".gguf")
    }
    tops = sorted(h for h in homes if not any(o != h and _inside(h, o) for o in homes))
    if len(tops) > 1:
        raise ModelError(
            f"There is more than one model: {', '.join(tops)}. Name one as subfolder.",
            "invalid_option",
        )
    return tops[0] + "/" if tops and tops[0] else ""


def _inside(path: str, folder: str) -> bool:
    return not folder or path.startswith(folder + "/")
