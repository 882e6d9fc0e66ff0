# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Small files of a snapshot that tasks read beside the model itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..engines.base import EngineStartFailed


def read_json(file: Path) -> Any:
    """Content of a JSON file of the snapshot, None when there is none."""
    try:
        return json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise EngineStartFailed(f"{file} cannot be read: {error}") from error
