# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose files by shell patterns, as the hubs' own clients do."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Say whether ``path`` matches one of ``patterns``.

    ``*`` matches ``/`` too; a pattern that ends in ``/`` means all below that folder.
    """
    return any(fnmatchcase(path, p + "*" if p.endswith("/") else p) for p in patterns)


def selected(path: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Say whether ``path`` is included (no pattern means all are) and not excluded."""
    return (not include or matches(path, include)) and not matches(path, exclude)
