# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The declaration as the controller reads it, with the lock files of the project."""

from __future__ import annotations

import os
from typing import Any

import yaml
from ansible_collections.modelops.serving.plugins.module_utils._declaration import normalise


def complete_services(
    declared: Any, overrides: Any, locks: Any, project_root: str
) -> dict[str, Any]:
    """Return the complete services, with lock files read below ``project_root``."""

    def read_lock(path: str) -> Any:
        with open(os.path.join(project_root, path), encoding="utf-8") as file:
            try:
                return yaml.safe_load(file)
            except yaml.YAMLError as error:
                raise ValueError(str(error)) from error

    return normalise(declared, overrides, locks, read_lock)
