# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By a timer: hash every snapshot of a store, and raise the alarm for what is damaged."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from .._errors import ModelError
from .._manifest import Difference, Manifest, read_manifest
from .._seal import unsealed
from .._stock import sealed
from .._store import MANIFEST, compare
from .alert import read_address, send
from .output import error, report, say

LOOKS = 3


@dataclass(frozen=True)
class Damage:
    """What is wrong with the snapshot in ``folder``; ``problem`` where it could not be read."""

    folder: str
    manifest: Manifest | None
    difference: Difference = Difference((), (), ())
    unsealed: tuple[str, ...] = ()
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of the alert."""
        names = self.manifest
        return {
            "path": self.folder,
            "source": names.source if names else "",
            "id": names.id if names else "",
            "revision": names.revision if names else "",
            **self.difference.to_dict(),
            "unsealed": list(self.unsealed),
            "problem": self.problem,
        }


def verify(store: str, webhook: str = "", webhook_file: str = "") -> bool:
    """Say whether every byte of ``store`` (a folder) is right; print and send what is not.

    Raises ``OSError`` when a folder cannot be listed: a store that nobody can see into is not
    right.
    """
    webhook = webhook or read_address(webhook_file)
    found, count = [], 0
    for folder in sealed(store):
        damage = look(folder)
        count += 1
        if damage is not None:
            found.append(damage)
            report(folder, damage.difference, list(damage.unsealed))
            error(f"{folder} is damaged{damage.problem}; run the playbook, it fetches it again")
    say(f"{store}: {count} snapshots were read, {len(found)} are damaged")
    if found and webhook:
        damages = [damage.to_dict() for damage in found]
        send(webhook, "model_snapshot_damaged", snapshots=damages)
    return not found


def look(folder: str) -> Damage | None:
    """Return what is wrong with one snapshot; none where nothing is, or where it is gone.

    A run of the playbook may replace a snapshot while it is read. What was found then says
    nothing, so it is read again.
    """
    damage = None
    for _attempt in range(LOOKS):
        before = _identity(folder)
        if before is None:
            return None
        damage = _look_once(folder)
        if damage is None or _identity(folder) == before:
            return damage
    return damage


def _look_once(folder: str) -> Damage | None:
    def trusted(path: str, _status: os.stat_result) -> bool:
        _leave_cache(os.path.join(folder, path))
        return False

    try:
        manifest = read_manifest(folder + MANIFEST)
        difference = compare(folder, manifest, trusted)
        loose = tuple(unsealed(folder))
    except (ModelError, OSError) as failure:
        return Damage(folder, None, problem=f" ({failure})")
    return Damage(folder, manifest, difference, loose) if difference or loose else None


def _leave_cache(name: str) -> None:
    """Let the kernel forget pages that nobody maps, so that the disk is read, not the memory."""
    handle = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


def _identity(folder: str) -> tuple[int, int] | None:
    try:
        status = os.stat(folder + MANIFEST)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns
