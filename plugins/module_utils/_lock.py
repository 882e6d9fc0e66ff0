# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolve a model to a lock, and say what differs between two locks."""

from __future__ import annotations

import os
from contextlib import closing
from typing import Any

from ._download import Expected, download
from ._errors import ModelError
from ._files import remove_tree
from ._manifest import Manifest, ModelFile, Selection
from ._metadata import describe
from ._model_files import check_files, check_shards
from ._patterns import selected
from ._sources import Source, SourceFile
from ._verify import model_file


def resolve(
    source_name: str, source: Source, include: list[str], exclude: list[str]
) -> tuple[Manifest, int]:
    """Return the lock of the source's model, and how many bytes of files were fetched for it.

    Each file names the kind of hash by which the source proves it, none where we had to hash it.

    Files that the source lists with a SHA-256 are not fetched, but for ``config.json`` and the
    headers of the weights. Raises ``ModelError``.
    """
    wanted = source.wanted
    name = f"{source_name} {wanted.id} {wanted.revision}"
    listing = source.list()
    chosen = [item for item in listing.files if selected(item.path, include, exclude)]
    check_files([item.path for item in chosen], name)
    fetched = 0
    files = []
    for item in sorted(chosen, key=lambda item: item.path):
        if item.hash.kind == "sha256" and item.size is not None:
            listed = item.listed or item.hash
            files.append(ModelFile(item.path, item.size, item.hash.value, listed))
            continue
        entry, received = _hash(source, item)
        files.append(entry)
        fetched += received
    sizes = {item.path: item.size for item in files}

    def read(path: str, size: int) -> bytes:
        return source.backoff().call(lambda: _read(source, path, size))

    check_shards(sizes, read, name)
    lock = Manifest(
        source=source_name,
        id=wanted.id,
        revision=wanted.revision,
        commit=listing.commit,
        files=tuple(files),
        model=describe(sizes, read),
        selection=Selection(tuple(include), tuple(exclude), wanted.subfolder),
    )
    return lock, fetched + source.received


def compare(old: Manifest, new: Manifest) -> dict[str, Any]:
    """Return what ``new`` has against ``old``: added, removed and changed paths, both commits."""
    difference = old.compare(new.files)
    return {
        "same": not difference,
        "added": list(difference.extra),
        "removed": list(difference.missing),
        "changed": list(difference.different),
        "commit": {"before": old.commit, "after": new.commit},
    }


def check_moved(old: Manifest, new: Manifest, where: str) -> None:
    """Refuse a ``new`` lock of the same revision in which the source, not the user, changed files.

    ``where`` names the place of the old lock. Files that come or go because the user selects others
    are no move. Raises ``ModelError`` (``lock_moved``).
    """
    if (old.source, old.id, old.revision) != (new.source, new.id, new.revision):
        return
    found = compare(old, new)
    added = [path for path in found["added"] if _was_wanted(path, old.selection)]
    removed = [path for path in found["removed"] if _was_wanted(path, new.selection)]
    changed = found["changed"]
    if _subfolder(old) != _subfolder(new):
        added, removed, changed = [], [], []
    if not (added or removed or changed) and old.commit == new.commit:
        return
    raise ModelError(
        f"The hub moved, you did not: {new.source} {new.id} {new.revision} no longer means what "
        f"{where} says. {len(found['changed'])} changed, {len(found['added'])} added, "
        f"{len(found['removed'])} removed; the commit was {old.commit} and is {new.commit}. "
        "Look at the differences and ask the publisher; set accept_moved to take what is there.",
        "lock_moved",
        differences=found,
    )


def _was_wanted(path: str, selection: Selection | None) -> bool:
    """Say whether the selection takes ``path``; an unknown one proves nothing."""
    return selection is not None and selected(path, selection.include, selection.exclude)


def _subfolder(lock: Manifest) -> str:
    return lock.selection.subfolder.strip("/") if lock.selection else ""


def _hash(source: Source, item: SourceFile) -> tuple[ModelFile, int]:
    target = os.path.join(source.wanted.work, "hashed")
    done = download(
        item.path,
        lambda offset: source.open(item.path, offset),
        target,
        Expected(item.size, item.hash),
        source.backoff(),
    )
    remove_tree(target)
    return model_file(item, done.size, done.sha256), done.received


def _read(source: Source, path: str, size: int) -> bytes:
    """Return the first ``size`` bytes of a file."""
    data = b""
    with closing(source.open(path)) as stream:
        while len(data) < size:
            chunk = stream.read(size - len(data))
            if not chunk:
                break
            data += chunk
    return data
