# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove what a store no longer needs: old revisions of models, and leftovers of runs that died.

Nothing that may still be needed goes: not what a release leads to, not what is protected or being
worked on. A clock that jumps can make things look old, but never the newest ones superfluous.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ._files import list_tree, remove_tree
from ._stock import UNFINISHED, place_of, snapshots, unfinished
from ._store import Place, remove

DAY = 86400.0
Inode = tuple[int, int]


@dataclass(frozen=True)
class Rules:
    """What may go, at the time ``now`` (seconds since 1970).

    ``keep``: how many revisions of each model stay, the newest by the time of their sealing.
    ``older_than_days``: others go only when they are older than that; 0 means at once.
    ``stale_days``: the age from which on an unfinished run counts as dead.
    ``protect``: folders of snapshots that stay. ``services``: the folder of all services, whose
    releases lead to snapshots that stay.
    """

    now: float
    keep: int = 2
    older_than_days: float = 0
    stale_days: float = 7
    protect: tuple[str, ...] = ()
    services: str = "/opt/modelops/services"


@dataclass
class Pruned:
    """What went, or would: path, reason and bytes each; and what stayed, with the reason.

    Reasons to go: ``old``, ``stale``. To stay: ``newest``, ``recent``, ``released``, ``protected``,
    ``busy``.
    """

    removed: list[dict[str, Any]] = field(default_factory=list)
    kept: list[dict[str, str]] = field(default_factory=list)

    @property
    def freed_bytes(self) -> int:
        """The bytes of files whose last name went; blocks that file systems share are not seen."""
        return sum(item["bytes"] for item in self.removed)

    def to_dict(self) -> dict[str, Any]:
        """Return the module's result."""
        return {
            "changed": bool(self.removed),
            "removed": self.removed,
            "kept": self.kept,
            "freed_bytes": self.freed_bytes,
        }

    def diff(self, store: str) -> dict[str, str]:
        """Return the paths before and after, for the diff mode."""
        after = sorted(item["path"] for item in self.kept)
        before = sorted([*after, *(item["path"] for item in self.removed)])
        return {
            "before_header": store,
            "after_header": store,
            "before": "".join(f"{path}\n" for path in before),
            "after": "".join(f"{path}\n" for path in after),
        }


def prune(store: str, rules: Rules, check_mode: bool = False) -> Pruned:
    """Remove from ``store`` what ``rules`` let go. Raises ``OSError``."""
    return _Run(store, rules, check_mode).prune()


class _Run:
    def __init__(self, store: str, rules: Rules, check_mode: bool) -> None:
        self._store = os.path.normpath(store)
        self._rules = rules
        self._check_mode = check_mode
        self._protected = {os.path.realpath(path) for path in rules.protect}
        self._gone: Counter[Inode] = Counter()  # names that check mode counts as removed
        self._pruned = Pruned()

    def prune(self) -> Pruned:
        for places in _by_model(snapshots(self._store)):
            # Equal times are put in the order of the names, so that every run decides alike.
            newest = sorted(places, key=lambda place: (-_sealed(place), place.path))
            for rank, place in enumerate(newest):
                reason = self._reason_to_keep(place, rank)
                self._settle(place, place.path, "old", reason)
        for folder in unfinished(self._store):
            owner = place_of(self._store, _without_suffix(folder))
            if owner is not None:
                fresh = self._age(_last_touched(folder)) < self._rules.stale_days
                self._settle(owner, folder, "stale", "recent" if fresh else "")
        return self._pruned

    def _reason_to_keep(self, place: Place, rank: int) -> str:
        path = os.path.realpath(place.path)
        if path in self._protected:
            return "protected"
        if path in set(_released(self._rules.services)):
            return "released"
        if rank < self._rules.keep:
            return "newest"
        limit = self._rules.older_than_days
        return "recent" if limit and self._age(_sealed(place)) < limit else ""

    def _settle(self, place: Place, path: str, why: str, keep: str) -> None:
        """Remove ``path``, which belongs to ``place``, unless there is a reason to keep it."""
        if not keep and self._check_mode:
            keep = "busy" if place.is_locked() else ""
            if not keep:
                self._note(path, why)
        elif not keep:
            keep = self._remove(place, path, why)
        if keep:
            self._pruned.kept.append({"path": path, "reason": keep})

    def _remove(self, place: Place, path: str, why: str) -> str:
        """Remove ``path`` while nobody works on ``place``; say why not, or nothing."""
        try:
            with place.locked(wait=False):
                # A release may have been made since the first look.
                if why == "old" and os.path.realpath(path) in set(_released(self._rules.services)):
                    return "released"
                self._note(path, why)
                if why == "old":
                    remove(place)
                else:
                    remove_tree(path)
        except BlockingIOError:
            return "busy"
        return ""

    def _note(self, path: str, why: str) -> None:
        self._pruned.removed.append({"path": path, "reason": why, "bytes": self._freed(path)})

    def _freed(self, folder: str) -> int:
        """Return the bytes of the files below ``folder`` that have no other name."""
        names: Counter[Inode] = Counter()
        found: dict[Inode, os.stat_result] = {}
        for path in list_tree(folder):
            status = os.lstat(os.path.join(folder, path))
            inode = (status.st_dev, status.st_ino)
            names[inode] += 1
            found[inode] = status
        freed = sum(
            status.st_size
            for inode, status in found.items()
            if status.st_nlink == names[inode] + self._gone[inode]
        )
        if self._check_mode:
            self._gone += names
        return freed

    def _age(self, moment: float) -> float:
        """Return the age in days; what lies in the future has none yet."""
        return max(0.0, self._rules.now - moment) / DAY


def _by_model(places: Iterable[Place]) -> Iterator[list[Place]]:
    models: dict[tuple[str, str], list[Place]] = {}
    for place in places:
        models.setdefault((place.source, place.id), []).append(place)
    yield from models.values()


def _sealed(place: Place) -> float:
    """Return when the snapshot was sealed: its manifest is written then, and never again."""
    try:
        return os.stat(place.manifest).st_mtime
    except FileNotFoundError:  # another run has just removed it
        return 0.0


def _last_touched(folder: str) -> float:
    """Return when something below ``folder`` last changed; renames count."""
    moments = []
    for parent, _folders, files in os.walk(folder):
        for path in (parent, *(os.path.join(parent, name) for name in files)):
            status = os.lstat(path)
            moments.append(max(status.st_mtime, status.st_ctime))
    return max(moments, default=0.0)


def _released(services: str) -> Iterator[str]:
    """Yield the folders that releases of services lead to."""
    for link in glob.iglob(os.path.join(glob.escape(services), "*", "releases", "*", "model")):
        yield os.path.realpath(link)


def _without_suffix(folder: str) -> str:
    return next(folder[: -len(suffix)] for suffix in UNFINISHED if folder.endswith(suffix))
