# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at a snapshot without changing it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from ._errors import ModelError
from ._files import list_tree
from ._manifest import Difference, Manifest, read_manifest
from ._proof import read_proof
from ._seal import unsealed
from ._store import MANIFEST, PROOF, State, find_damage


@dataclass(frozen=True)
class Report:
    """``exists``: the folder is there; ``difference``: how it differs from what it should be.

    Without a manifest nothing is known to match. ``wrong_mode`` and ``links`` are paths below the
    folder, ``.`` for itself: those with another mode or owner than a sealed snapshot's, and those
    that are links, which no snapshot has. ``proof`` is what was checked beside the hashes.
    """

    exists: bool
    matches: bool
    manifest: Manifest | None
    difference: Difference
    wrong_mode: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    proof: dict[str, Any] = field(default_factory=dict)

    def differences(self) -> dict[str, list[str]]:
        """Return all differences by kind, as plain values."""
        return {
            **self.difference.to_dict(),
            "mode": list(self.wrong_mode),
            "links": list(self.links),
        }


def inspect(path: str, lock: Manifest | None, full: bool) -> Report:
    """Compare the folder ``path`` with its manifest, and with ``lock`` if there is one.

    Unless ``full``, no byte is read of files that look as they did when they were last hashed.
    """
    exists = os.path.isdir(path) and not os.path.islink(path)
    try:
        manifest = read_manifest(path + MANIFEST)
    except (FileNotFoundError, ModelError):
        manifest = None
    proof = read_proof(path + PROOF)
    links, modes = _links(path) if exists else (), _wrong_modes(path) if exists else ()
    if not exists or manifest is None:
        return Report(exists, False, manifest, Difference((), (), ()), modes, links, proof)
    found = find_damage(path, manifest, State(path + ".state.json"), full)
    if lock is not None:
        found = _merge(found, lock.compare(manifest.files))
    return Report(True, not found, manifest, found, modes, links, proof)


def _links(folder: str) -> tuple[str, ...]:
    return tuple(path for path in list_tree(folder) if os.path.islink(os.path.join(folder, path)))


def _wrong_modes(folder: str) -> tuple[str, ...]:
    """Return what has another mode or owner than it should; links have none of their own."""
    return tuple(p for p in unsealed(folder) if not os.path.islink(os.path.join(folder, p)))


def _merge(first: Difference, second: Difference) -> Difference:
    return Difference(
        missing=tuple(sorted({*first.missing, *second.missing})),
        extra=tuple(sorted({*first.extra, *second.extra})),
        different=tuple(sorted({*first.different, *second.different})),
    )
