# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in a store: its snapshots, and what unfinished runs have left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NoReturn

from ._store import MANIFEST, Place

UNFINISHED = (".partial", ".archive", ".old")


def sealed(store: str) -> Iterator[str]:
    """Yield the folder of each manifest in the order of their names, also where it is gone.

    Raises ``OSError`` when a folder cannot be listed.
    """
    for folder, _folders, files in _walk(store):
        for file in sorted(file for file in files if file.endswith(MANIFEST)):
            yield os.path.join(folder, file[: -len(MANIFEST)])


def snapshots(store: str) -> list[Place]:
    """Return the snapshots that are whole, sorted by path: those with a folder and a manifest."""
    if not os.path.isdir(store):
        return []
    places = (place_of(store, folder) for folder in sealed(store) if os.path.isdir(folder))
    return sorted((place for place in places if place), key=lambda place: place.path)


def unfinished(store: str) -> list[str]:
    """Return the folders of runs that did not end, sorted."""
    found: list[str] = []
    for folder, folders, _files in _walk(store) if os.path.isdir(store) else ():
        found += [os.path.join(folder, name) for name in folders if name.endswith(UNFINISHED)]
    return sorted(found)


def place_of(store: str, path: str) -> Place | None:
    """Return the place whose folder is ``path``, none if that can be no snapshot of ``store``."""
    source, _slash, rest = os.path.relpath(path, store).partition("/")
    name, _slash, revision = rest.rpartition("/")
    return Place(store, source, name, revision) if name and source != ".." else None


def _walk(store: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk over the folders that hold snapshots, not into the snapshots themselves."""
    for folder, folders, files in os.walk(os.path.normpath(store), onerror=_fail):
        yield folder, list(folders), files
        whole = {file[: -len(MANIFEST)] for file in files if file.endswith(MANIFEST)}
        folders[:] = sorted(n for n in folders if n not in whole and not n.endswith(UNFINISHED))


def _fail(failure: OSError) -> NoReturn:
    raise failure
