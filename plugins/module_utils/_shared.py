# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take files that another snapshot of the store has already, without storing them twice.

What is in the store is a hint only: a file counts when its own bytes have the right hash.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence

from ._errors import ModelError
from ._files import make_folders, remove_file, unseal_folders
from ._manifest import read_manifest
from ._progress import Meter
from ._sources import SourceFile
from ._stock import snapshots
from ._store import Place
from ._verify import file_problems

# From linux/fs.h: let a file have the blocks of another one until either is written.
FICLONE = 0x40049409


def take_shared(
    place: Place, items: Sequence[SourceFile], meter: Meter, check_mode: bool
) -> list[SourceFile]:
    """Link those ``items`` into the folder in the making that another snapshot has; return them.

    In check mode nothing is linked. Items without a SHA-256 and a size are left alone.
    """
    wanted = [item for item in items if item.hash.kind == "sha256" and item.size]
    there = _candidates(place, {_key(item) for item in wanted}) if wanted else {}
    found = []
    for item in wanted:
        source = there.get(_key(item))
        path = source if check_mode or source is None else _take(place, source, item.path)
        if path:
            found.append((item, path))
    if not found:
        return []
    meter.begin("verifying", sum(item.size or 0 for item, _path in found))
    taken = []
    for (item, path), problem in zip(found, file_problems(found, meter.add)):
        if problem is None:
            taken.append(item)
        elif not check_mode:
            remove_file(path)
    return taken


def _key(item: SourceFile) -> tuple[str, int | None]:
    return item.hash.value, item.size


def _candidates(
    place: Place, wanted: set[tuple[str, int | None]]
) -> dict[tuple[str, int | None], str]:
    """Return the files that have the wanted hashes and sizes if their manifests are true."""
    found: dict[tuple[str, int | None], str] = {}
    for other in snapshots(place.store):
        if other.path == place.path:
            continue
        try:
            manifest = read_manifest(other.manifest)
        except (OSError, ModelError):
            continue
        for item in manifest.files:
            if (item.sha256, item.size) in wanted:
                found[(item.sha256, item.size)] = os.path.join(other.path, item.path)
    return found


def _take(place: Place, source: str, path: str) -> str:
    """Link or clone ``source`` into the folder in the making; return where, empty if not."""
    if os.path.isdir(place.partial):
        unseal_folders(place.partial)
    target = os.path.join(place.partial, path)
    make_folders(os.path.dirname(target))
    remove_file(target)
    return target if _link(source, target) or clone(source, target) else ""


def _link(source: str, target: str) -> bool:
    # A link in place of the file would be linked itself, and stays a link when it is checked.
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        return False
    return True


def clone(source: str, target: str) -> bool:
    """Make ``target`` a copy that shares the blocks of ``source``; say whether that worked."""
    try:
        with open(source, "rb") as old, open(target, "xb") as new:
            fcntl.ioctl(new.fileno(), FICLONE, old.fileno())
    except OSError:
        remove_file(target)
        return False
    return True
