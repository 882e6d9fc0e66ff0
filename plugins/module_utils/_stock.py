# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in a store: its snapshots, and what unfinished runs have left."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ._store import MANIFEST, Place

UNFINISHED = (".partial", ".archive", ".old")


def snapshots(store: str) -> list[Place]:
    """Return the snapshots that are whole, sorted by path: those with a folder and a manifest."""
    return sorted(_places(store, (MANIFEST,)), key=lambda place: place.path)


def unfinished(store: str) -> list[str]:
    """Return the folders of runs that did not end, sorted."""
    found = []
    for folder, folders, _files in _walk(store):
        found += [os.path.join(folder, name) for name in folders if name.endswith(UNFINISHED)]
    return sorted(found)


def place_of(store: str, path: str) -> Place | None:
    """Return the place whose folder is ``path``, none if that can be no snapshot of ``store``."""
    source, _slash, rest = os.path.relpath(path, store).partition("/")
    name, _slash, revision = rest.rpartition("/")
    return Place(store, source, name, revision) if name and source != ".." else None


def _places(store: str, suffixes: tuple[str, ...]) -> Iterator[Place]:
    for folder, folders, files in _walk(store):
        for file in files:
            name = next((file[: -len(s)] for s in suffixes if file.endswith(s)), "")
            place = place_of(store, os.path.join(folder, name)) if name in folders else None
            if place is not None:
                yield place


def _walk(store: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk over the folders that hold snapshots, not into the snapshots themselves."""
    for folder, folders, files in os.walk(os.path.normpath(store)):
        yield folder, list(folders), files
        whole = {file[: -len(MANIFEST)] for file in files if file.endswith(MANIFEST)}
        folders[:] = [
            name for name in folders if name not in whole and not name.endswith(UNFINISHED)
        ]
