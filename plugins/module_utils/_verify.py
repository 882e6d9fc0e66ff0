# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what is listed with what is there."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ._download import hash_mismatch
from ._errors import ModelError
from ._hashing import Count, FileDigest, digest_files, ignore
from ._manifest import NO_HASH, Manifest, ModelFile, SourceHash
from ._sources import SourceFile
from ._store import Place


def check_lock(lock: Manifest, place: Place) -> None:
    """Refuse the lock of another model. Bytes may come from another source than the lock's."""
    wrong = ""
    if lock.source == place.source and lock.id != place.id:
        wrong = f"{lock.id}, not of {place.id}"
    elif lock.source == place.source and place.revision not in (lock.revision, lock.commit):
        wrong = f"revision {lock.revision}, not of {place.revision}"
    if wrong:
        raise ModelError(
            f"The lock is of {wrong}. Give the lock of this model, or make one with model_lock.",
            "lock_mismatch",
        )


def file_problems(
    files: Sequence[tuple[SourceFile, str]], count: Count = ignore, unproven: bool = False
) -> list[ModelError | None]:
    """Say for each item and path why the path is not the file; none if it is. Hashes on all cores.

    A file without an expected hash is accepted only if ``unproven`` ones are. ``count`` is called
    with the bytes that were hashed.
    """
    found = [_visible_problem(item, path, unproven) for item, path in files]
    proven = {
        path: item
        for (item, path), problem in zip(files, found)
        if problem is None and item.hash.kind != "none"
    }
    digests = digest_files({path: _git_size(item, path) for path, item in proven.items()}, count)
    return [
        _hidden_problem(item, digests[path]) if path in digests else problem
        for (item, path), problem in zip(files, found)
    ]


def _visible_problem(item: SourceFile, path: str, unproven: bool) -> ModelError | None:
    """Say what is wrong without a look at the bytes."""
    if os.path.islink(path) or not os.path.isfile(path):
        return ModelError(f"'{item.path}' was not fetched.", "file_missing", file=item.path)
    size = os.path.getsize(path)
    if item.size is not None and size != item.size:
        return ModelError(
            f"'{item.path}' has {size} bytes, expected are {item.size}. Check the lock and the "
            "mirror.",
            "size_mismatch",
            file=item.path,
            expected=item.size,
            found=size,
        )
    return no_hash(item.path) if item.hash.kind == "none" and not unproven else None


def _hidden_problem(item: SourceFile, digest: FileDigest) -> ModelError | None:
    kind, expected = item.hash.kind, item.hash.value
    found = digest.value(kind)
    return None if found == expected else hash_mismatch(item.path, kind, expected, found)


def _git_size(item: SourceFile, path: str) -> int | None:
    return os.path.getsize(path) if item.hash.kind == "git_sha1" else None


def model_files(files: Sequence[tuple[SourceFile, str]], count: Count = ignore) -> list[ModelFile]:
    """Return the manifest's entries of files that are right; hashes those without a SHA-256."""
    unknown = {path: None for item, path in files if item.hash.kind != "sha256"}
    digests = digest_files(unknown, count)
    return [
        model_file(
            item,
            os.path.getsize(path),
            digests[path].value("sha256") if path in digests else item.hash.value,
        )
        for item, path in files
    ]


def as_listed(item: ModelFile) -> SourceFile:
    """Return the file of a manifest as a source would list it."""
    return SourceFile(item.path, item.size, SourceHash("sha256", item.sha256), item.source_hash)


def agrees(there: ModelFile, item: SourceFile) -> bool:
    """Say whether the manifest's file ``there`` is the listed one."""
    if item.hash.kind == "sha256":
        return there.sha256 == item.hash.value
    return (there.source_hash or NO_HASH) == item.hash


def model_file(item: SourceFile, size: int, sha256: str) -> ModelFile:
    """Return the manifest's entry; the source's hash is kept where it was not the SHA-256."""
    listed = item.listed or (None if item.hash.kind == "sha256" else item.hash)
    return ModelFile(item.path, size, sha256, listed)


def no_hash(path: str) -> ModelError:
    """Return the error for a file that nothing proves."""
    return ModelError(
        f"No expected hash is known for '{path}'. Make a lock with model_lock, or name the file in "
        "allow_unverified.",
        "unverified_file",
        file=path,
    )
