# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before a service starts: is the snapshot the one that its manifest describes?"""

from __future__ import annotations

import errno
import os

from .._hashing import CHUNK
from .._manifest import read_manifest
from .._proof import read_proof
from .._seal import measured, unsealed
from .._store import MANIFEST, PROOF, compare
from .output import error, report, say


def check(snapshot: str, max_bytes: int | None) -> bool:
    """Say whether the folder that ``snapshot`` leads to is right; print what is not.

    Files that fs-verity protects are read, so that the kernel compares them; all others are
    hashed. Where there is more to read than ``max_bytes`` (none for no limit), the bytes are left
    to fs-verity and the timer. What was remembered of earlier runs does not count.
    """
    folder = os.path.realpath(snapshot)
    try:
        manifest = read_manifest(folder + MANIFEST)
    except FileNotFoundError:
        error(f"{folder} has no manifest beside it, so nothing says that it is complete")
        return False
    total = sum(item.size for item in manifest.files)
    reads = max_bytes is None or total <= max_bytes
    protected = measured(folder, read_proof(folder + PROOF).get("seal"))

    def trusted(path: str, _status: os.stat_result) -> bool:
        return not reads or (path in protected and _readable(os.path.join(folder, path)))

    difference = compare(folder, manifest, trusted)
    loose = unsealed(folder)
    report(folder, difference, loose)
    if difference or loose:
        error(f"{folder} is damaged; run the playbook, it fetches what is wrong again")
        return False
    count = len(manifest.files)
    if reads:
        say(f"{folder}: {count} files are right, {len(protected)} of them by fs-verity")
    else:
        say(
            f"{folder}: {count} files have the right size and mode, {len(protected)} of them "
            f"fs-verity; their {total} bytes are more than {max_bytes}, so the timer hashes them"
        )
    return True


def _readable(name: str) -> bool:
    """Read the file to its end, and say whether the kernel let us."""
    try:
        with open(name, "rb", buffering=0) as stream:
            while stream.read(CHUNK):
                pass
    except OSError as failure:
        if failure.errno != errno.EIO:
            raise
        return False
    return True
