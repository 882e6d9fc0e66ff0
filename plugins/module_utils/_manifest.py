# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest of a snapshot. A lock is the same thing, kept by the user.

It is the only thing that decides whether the bytes of a model are right.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._errors import ModelError
from ._files import write_atomic

VERSION = 1
HASH_LENGTHS = {"sha256": 64, "git_sha1": 40}
_HEX = re.compile(r"[0-9a-f]+")


def is_hash(value: object, kind: str) -> bool:
    """Say whether ``value`` has the form of a hash of ``kind`` (lower-case hex)."""
    return (
        isinstance(value, str)
        and kind in HASH_LENGTHS
        and len(value) == HASH_LENGTHS[kind]
        and _HEX.fullmatch(value) is not None
    )


def safe_path(path: object) -> bool:
    """Say whether ``path`` is relative, plain and stays inside the folder it is joined to."""
    if not isinstance(path, str) or not path or "\\" in path:
        return False
    if any(ord(character) < 32 or ord(character) == 127 for character in path):
        return False
    return all(part not in ("", ".", "..") for part in path.split("/"))


@dataclass(frozen=True)
class SourceHash:
    """The hash that a source lists for a file: ``kind`` is ``sha256``, ``git_sha1`` or ``none``."""

    kind: str = "none"
    value: str = ""


NO_HASH = SourceHash()


@dataclass(frozen=True)
class ModelFile:
    """One file of a model: relative path, size in bytes, SHA-256 in hex."""

    path: str
    size: int
    sha256: str
    source_hash: SourceHash | None = None


@dataclass(frozen=True)
class Difference:
    """What ``found`` files have against ``expected`` ones, as sorted paths."""

    missing: tuple[str, ...]
    extra: tuple[str, ...]
    different: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.extra or self.different)

    def to_dict(self) -> dict[str, list[str]]:
        """Return the three lists as plain values."""
        return {
            "missing": list(self.missing),
            "extra": list(self.extra),
            "different": list(self.different),
        }


@dataclass(frozen=True)
class Selection:
    """Which files of the source were taken when a lock was made; patterns as in ``_patterns``."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    subfolder: str = ""


@dataclass(frozen=True)
class Manifest:
    """All files of one revision of a model, and the numbers of its configuration.

    ``selection`` is none where it is not known.
    """

    source: str
    id: str
    revision: str
    commit: str
    files: tuple[ModelFile, ...]
    model: Mapping[str, Any] = field(default_factory=dict)
    selection: Selection | None = None

    @classmethod
    def from_dict(cls, data: object, name: str = "lock") -> Manifest:
        """Check ``data`` and build a manifest; ``name`` stands in the error's message.

        Raises ``ModelError`` (``invalid_lock``, ``unsafe_path``).
        """
        return _Reader(name).manifest(data)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values in a stable order, files sorted by path."""
        return {
            "lock_version": VERSION,
            "source": self.source,
            "id": self.id,
            "revision": self.revision,
            "commit": self.commit,
            **_selection_to_dict(self.selection),
            "model": dict(self.model),
            "files": [_file_to_dict(item) for item in self.files],
        }

    def compare(self, found: Iterable[ModelFile]) -> Difference:
        """Compare ``found`` files with those of this manifest, by size and SHA-256."""
        expected = {item.path: (item.size, item.sha256) for item in self.files}
        there = {item.path: (item.size, item.sha256) for item in found}
        return Difference(
            missing=tuple(sorted(set(expected) - set(there))),
            extra=tuple(sorted(set(there) - set(expected))),
            different=tuple(
                sorted(p for p in set(expected) & set(there) if expected[p] != there[p])
            ),
        )


def _selection_to_dict(selection: Selection | None) -> dict[str, Any]:
    if selection is None:
        return {}
    return {
        "selection": {
            "include": list(selection.include),
            "exclude": list(selection.exclude),
            "subfolder": selection.subfolder,
        }
    }


def _file_to_dict(item: ModelFile) -> dict[str, Any]:
    data: dict[str, Any] = {"path": item.path, "size": item.size, "sha256": item.sha256}
    if item.source_hash is not None:
        data["source_hash"] = {"kind": item.source_hash.kind}
        if item.source_hash.value not in ("", item.sha256):
            data["source_hash"]["value"] = item.source_hash.value
    return data


class _Reader:
    """Turn plain values into a manifest; every complaint names the place."""

    def __init__(self, name: str) -> None:
        self._name = name

    def manifest(self, data: object) -> Manifest:
        if not isinstance(data, Mapping):
            raise self._error("is not a mapping")
        if data.get("lock_version") != VERSION:
            raise self._error(
                f"has lock_version {data.get('lock_version')!r}, this collection reads {VERSION}"
            )
        texts = {key: data.get(key) for key in ("source", "id", "revision", "commit")}
        for key, value in texts.items():
            if not isinstance(value, str) or not value:
                raise self._error(f"needs '{key}' as text (put numbers in quotes), not {value!r}")
        model = data.get("model", {})
        if not isinstance(model, Mapping):
            raise self._error("needs 'model' as a mapping")
        entries = data.get("files")
        if not isinstance(entries, (list, tuple)) or not entries:
            raise self._error("needs 'files' as a list with at least one file")
        files = sorted((self._file(entry) for entry in entries), key=lambda item: item.path)
        self._check_collisions([item.path for item in files])
        return Manifest(
            source=str(texts["source"]),
            id=str(texts["id"]),
            revision=str(texts["revision"]),
            commit=str(texts["commit"]),
            files=tuple(files),
            model={str(key): value for key, value in model.items()},
            selection=self._selection(data.get("selection")),
        )

    def _selection(self, data: object) -> Selection | None:
        if data is None:
            return None
        known = data if isinstance(data, Mapping) else {}
        lists = [known.get("include"), known.get("exclude")]
        if not all(isinstance(item, (list, tuple)) for item in lists):
            raise self._error(f"needs 'selection' with the lists include and exclude, not {data!r}")
        include, exclude = (tuple(str(item) for item in items or ()) for items in lists)
        return Selection(include, exclude, str(known.get("subfolder", "")))

    def _file(self, entry: object) -> ModelFile:
        if not isinstance(entry, Mapping):
            raise self._error(f"has an entry in 'files' that is not a mapping: {entry!r}")
        path, size, sha256 = entry.get("path"), entry.get("size"), entry.get("sha256")
        if not safe_path(path):
            what = f"has the unsafe path {path!r}; paths are relative, without '..'"
            raise self._error(what, "unsafe_path")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise self._error(f"has the size {size!r} for '{path}'; it is a count of bytes")
        if not is_hash(sha256, "sha256"):
            raise self._error(f"has the sha256 {sha256!r} for '{path}'; it is 64 lower-case hex")
        return ModelFile(str(path), size, str(sha256), self._source_hash(entry, str(path)))

    def _source_hash(self, entry: Mapping[str, Any], path: str) -> SourceHash | None:
        """Read the source's own hash; its value may be left out where it is the SHA-256 itself."""
        data = entry.get("source_hash")
        if data is None:
            return None
        kind = data.get("kind") if isinstance(data, Mapping) else None
        own = entry["sha256"] if kind == "sha256" else ""
        value = data.get("value", own) if isinstance(data, Mapping) else None
        if not (kind == "none" and value == "") and not is_hash(value, str(kind)):
            raise self._error(f"has a wrong source_hash for '{path}': {data!r}")
        return SourceHash(str(kind), str(value))

    def _check_collisions(self, paths: list[str]) -> None:
        known = set(paths)
        if len(known) != len(paths):
            twice = next(a for a, b in zip(paths, paths[1:]) if a == b)
            raise self._error(f"names '{twice}' twice")
        for path in paths:
            parts = path.split("/")
            for end in range(1, len(parts)):
                if "/".join(parts[:end]) in known:
                    raise self._error(f"has '{'/'.join(parts[:end])}' as a file and as a folder")

    def _error(self, what: str, code: str = "invalid_lock") -> ModelError:
        return ModelError(f"The {self._name} {what}.", code)


def read_manifest(path: str) -> Manifest:
    """Read the manifest in the JSON file ``path``. Raises ``ModelError`` or ``OSError``."""
    with open(path, encoding="utf-8") as stream:
        text = stream.read()
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ModelError(f"The manifest {path} is not JSON: {error}.", "invalid_lock") from error
    return Manifest.from_dict(data, f"manifest {path}")


def write_manifest(path: str, manifest: Manifest) -> None:
    """Write ``manifest`` as JSON to ``path``, atomically, readable by all."""
    write_atomic(path, json.dumps(manifest.to_dict(), indent=2, ensure_ascii=False) + "\n", 0o444)
