# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at a snapshot without changing it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ._errors import ModelError
from ._manifest import Difference, Manifest, read_manifest
from ._store import State, find_damage


@dataclass(frozen=True)
class Report:
    """``exists``: the folder is there; ``difference``: how it differs from what it should be.

    Without a manifest nothing is known to match.
    """

    exists: bool
    matches: bool
    manifest: Manifest | None
    difference: Difference


def inspect(path: str, lock: Manifest | None, full: bool) -> Report:
    """Compare the folder ``path`` with its manifest, and with ``lock`` if there is one."""
    exists = os.path.isdir(path) and not os.path.islink(path)
    try:
        manifest = read_manifest(path + ".manifest.json")
    except (FileNotFoundError, ModelError):
        manifest = None
    if not exists or manifest is None:
        return Report(exists, False, manifest, Difference((), (), ()))
    found = find_damage(path, manifest, State(path + ".state.json"), full)
    if lock is not None:
        found = _merge(found, lock.compare(manifest.files))
    return Report(True, not found, manifest, found)


def _merge(first: Difference, second: Difference) -> Difference:
    return Difference(
        missing=tuple(sorted({*first.missing, *second.missing})),
        extra=tuple(sorted({*first.extra, *second.extra})),
        different=tuple(sorted({*first.different, *second.different})),
    )
