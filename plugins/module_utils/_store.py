# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store of snapshots on disk: places, locking, state, looking for damage."""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ._errors import ModelError
from ._files import (
    list_tree,
    make_folders,
    prune_empty,
    remove_file,
    remove_tree,
    remove_unfinished,
    write_atomic,
)
from ._hashing import digest_files
from ._manifest import Difference, Manifest, read_manifest
from ._progress import Meter
from ._seal import FILE_MODE

MANIFEST, PROOF = ".manifest.json", ".proof.json"
SUFFIXES = (
    MANIFEST,
    PROOF,
    ".state.json",
    ".agreed.json",
    ".partial",
    ".archive",
    ".old",
    ".lock",
)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!~-]*")


@dataclass(frozen=True)
class Place:
    """Where the snapshot of one revision lies: ``<store>/<source>/<id>/<revision>``."""

    store: str
    source: str
    id: str
    revision: str

    def __post_init__(self) -> None:
        if not os.path.isabs(self.store):
            raise ModelError(f"store is '{self.store}'; it is an absolute path.", "invalid_option")
        for option, parts in (("id", self.id.split("/")), ("revision", [self.revision])):
            for part in parts:
                if not _NAME.fullmatch(part) or part.endswith(SUFFIXES):
                    raise ModelError(
                        f"{option} is '{getattr(self, option)}', which cannot be a folder's name. "
                        "Use letters, digits and . _ + - (and / inside an id); a commit instead "
                        "of a name with other signs.",
                        "invalid_option",
                    )

    @property
    def path(self) -> str:
        """The sealed folder."""
        return os.path.join(os.path.normpath(self.store), self.source, self.id, self.revision)

    @property
    def manifest(self) -> str:
        """The manifest; it exists before the folder gets its name."""
        return self.path + MANIFEST

    @property
    def proof(self) -> str:
        """What was checked beside the hashes before the folder was sealed."""
        return self.path + PROOF

    @property
    def state(self) -> str:
        """What files looked like when their hashes were last found right."""
        return self.path + ".state.json"

    @property
    def agreed(self) -> str:
        """The manifest of a damaged folder: it claims nothing, but says what a repair works for."""
        return self.path + ".agreed.json"

    @property
    def partial(self) -> str:
        """The folder in the making; a later run goes on in it."""
        return self.path + ".partial"

    @property
    def archive(self) -> str:
        """The folder for an archive that files are taken from."""
        return self.path + ".archive"

    @property
    def old(self) -> str:
        """The former folder while its successor takes the name."""
        return self.path + ".old"

    @property
    def leftovers(self) -> tuple[str, ...]:
        """All that may lie beside the folder."""
        return (
            self.manifest,
            self.agreed,
            self.proof,
            self.state,
            self.partial,
            self.archive,
            self.old,
        )

    def check_free(self) -> None:
        """Refuse a place inside or around another snapshot (``store_conflict``)."""
        top = os.path.normpath(self.store)
        folder = os.path.dirname(self.path)
        while len(folder) > len(top):
            if os.path.lexists(folder + MANIFEST):
                raise self._conflict(f"{folder} is a snapshot itself")
            folder = os.path.dirname(folder)
        if os.path.lexists(self.path):
            if os.path.islink(self.path) or not os.path.isdir(self.path):
                raise self._conflict(f"{self.path} is not a folder")
            if any(name.endswith(MANIFEST) for name in list_tree(self.path)):
                raise self._conflict(f"{self.path} holds other snapshots")

    def _conflict(self, what: str) -> ModelError:
        return ModelError(
            f"The snapshot {self.path} cannot be made: {what}. Use another store, id or revision.",
            "store_conflict",
        )

    @contextmanager
    def locked(self, wait: bool = True) -> Iterator[None]:
        """Wait until no other run works on this place, and keep others out.

        Without ``wait`` a place that another run works on raises ``BlockingIOError``. Folders of
        the store that are empty afterwards are removed.
        """
        name = self.path + ".lock"
        while True:
            try:
                make_folders(os.path.dirname(name))
                handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:
                continue  # another run has just removed the empty folder
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                os.close(handle)
                raise
            if _same_file(name, handle):
                break
            os.close(handle)  # the former owner removed the file that we waited for
        try:
            for sidecar in (self.manifest, self.agreed, self.proof, self.state):
                remove_unfinished(sidecar)
            yield
        finally:
            remove_file(name)
            prune_empty(os.path.dirname(name), os.path.normpath(self.store))
            os.close(handle)

    def is_locked(self) -> bool:
        """Say whether another run works on this place, without writing anything."""
        try:
            handle = os.open(self.path + ".lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False


def _same_file(name: str, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(name), os.fstat(handle))
    except FileNotFoundError:
        return False


def load_manifest(place: Place) -> Manifest | None:
    """Return the manifest of ``place`` if it can be read and is about this model, else none."""
    return _load(place, place.manifest)


def load_agreed(place: Place) -> Manifest | None:
    """Return the manifest that the last good snapshot had, whatever became of its files."""
    return _load(place, place.manifest) or _load(place, place.agreed)


def _load(place: Place, path: str) -> Manifest | None:
    try:
        manifest = read_manifest(path)
    except (OSError, ModelError):
        return None
    same = (manifest.source, manifest.id, manifest.revision) == (
        place.source,
        place.id,
        place.revision,
    )
    return manifest if same else None


class State:
    """The memory of the last verification, and of the options that chose the files."""

    def __init__(self, path: str) -> None:
        self._path = path
        data: Any = None
        try:
            with open(self._path, encoding="utf-8") as stream:
                data = json.load(stream)
        except (OSError, ValueError):
            pass
        data = data if isinstance(data, dict) else {}
        files, selection = data.get("files"), data.get("selection")
        self.files: Mapping[str, Any] = files if isinstance(files, dict) else {}
        self.selection: Mapping[str, Any] = selection if isinstance(selection, dict) else {}

    def write(self, folder: str, manifest: Manifest, selection: Mapping[str, Any]) -> None:
        """Remember the files of ``folder`` as they are now."""
        files = {
            item.path: _marks(os.lstat(os.path.join(folder, item.path))) for item in manifest.files
        }
        if (files, selection) == (self.files, self.selection):
            return
        data = {"selection": selection, "files": files}
        write_atomic(self._path, json.dumps(data, indent=2) + "\n", FILE_MODE)


def find_damage(
    folder: str, manifest: Manifest, state: State, full: bool, meter: Meter | None = None
) -> Difference:
    """Compare the files below ``folder`` with ``manifest``.

    A file whose size, times and inode are as remembered is taken as unchanged unless ``full``.
    ``meter`` counts the bytes that are hashed.
    """

    def trusted(path: str, status: os.stat_result) -> bool:
        return not full and bool(state.files.get(path) == _marks(status))

    return compare(folder, manifest, trusted, meter)


def compare(
    folder: str,
    manifest: Manifest,
    trusted: Callable[[str, os.stat_result], bool],
    meter: Meter | None = None,
) -> Difference:
    """Compare the files below ``folder`` with ``manifest``, hashing on all cores.

    The bytes of a file that is ``trusted`` (its path in the manifest, its status) are not hashed.
    A file that the disk or the kernel refuses to read is different.
    """
    there = set(list_tree(folder))
    expected = {item.path: item for item in manifest.files}
    different = []
    doubtful = {}
    for path in there & set(expected):
        name, item = os.path.join(folder, path), expected[path]
        status = os.lstat(name)
        if not stat.S_ISREG(status.st_mode) or status.st_size != item.size:
            different.append(path)
        elif not trusted(path, status):
            doubtful[name] = item
    if doubtful:
        meter = meter or Meter()
        meter.begin("verifying", sum(item.size for item in doubtful.values()))
        digests = digest_files(dict.fromkeys(doubtful), meter.add)
        different += [
            item.path
            for name, item in doubtful.items()
            if digests[name].value("sha256") != item.sha256
        ]
    return Difference(
        missing=tuple(sorted(set(expected) - there)),
        extra=tuple(sorted(there - set(expected))),
        different=tuple(sorted(different)),
    )


def _marks(status: os.stat_result) -> list[int]:
    """Return what changes when a file is written: the change time cannot be set by hand."""
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def remove(place: Place) -> None:
    """Remove the snapshot and all that lies beside it, first what says that it is complete."""
    for leftover in (place.manifest, place.agreed, place.proof, place.state):
        remove_file(leftover)
    for folder in (place.path, place.partial, place.archive, place.old):
        remove_tree(folder)
