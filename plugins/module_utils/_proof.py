# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof beside a snapshot: what was checked before it was sealed, and how it is protected."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ._files import write_atomic


def read_proof(path: str) -> dict[str, Any]:
    """Return the proof in the JSON file ``path``, empty if there is none."""
    try:
        with open(path, encoding="utf-8") as stream:
            data = json.load(stream)
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def write_proof(path: str, proof: Mapping[str, Any]) -> None:
    """Write ``proof`` as JSON to ``path``, atomically, readable by all."""
    write_atomic(path, json.dumps(proof, indent=2, sort_keys=True) + "\n", 0o444)
