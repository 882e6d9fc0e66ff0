# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models on the host itself: a folder, or a zip or tar archive."""

from __future__ import annotations

import os

from .._archive import Archive, Folder, Tree
from .._download import hash_mismatch
from .._errors import ModelError
from .._hashing import sha256_file
from .tree import TreeSource


class PathSource(TreeSource):
    """``endpoint`` is the path; ``id`` and ``revision`` are names that the user gives."""

    def _fetch(self) -> tuple[Tree, bool]:
        path, expected = self.wanted.endpoint, self.wanted.archive_sha256
        if os.path.isdir(path):
            if expected:
                raise ModelError(
                    f"archive_sha256 is given, but {path} is a folder. Give a lock instead.",
                    "invalid_option",
                )
            return Folder(path, self._prefix), False
        if not os.path.isfile(path):
            raise ModelError(
                f"There is no folder and no archive at '{path}' on the host. Set endpoint to the "
                "path of the model.",
                "not_found",
            )
        if expected:
            found = sha256_file(path)
            if found != expected:
                raise hash_mismatch(path, "sha256", expected, found)
        return Archive(path), bool(expected)
