# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Ask ModelScope's own pipeline again for the vectors that the server's tests compare with.

Usage: python3 -m tools.modelscope

As a command it writes the committed goldens anew; see tests/server/models/modelscope_goldens.py.
"""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

from . import venv
from .paths import ROOT, binary
from .report import Failure, main, run, say

MODELS = ROOT / "tests" / "server" / "models"
GOLDENS = MODELS / "goldens" / "gte_pipeline.json"
TOLERANCE = 1e-5
_VECTORS = ("normalized", "raw")
_SAME = ("sequence_length", "texts", "weights_sha256")


def run_goldens() -> dict[str, Any]:
    """Make the vectors anew and compare them with the committed ones."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / GOLDENS.name
        _write(made)
        return compare(_read(made), _read(GOLDENS))


def compare(made: dict[str, Any], committed: dict[str, Any]) -> dict[str, Any]:
    """Return how far two goldens are apart; raise ``Failure`` if they are not the same."""
    for name in _SAME:
        if made[name] != committed[name]:
            raise Failure(f"'{name}' is not as in {GOLDENS}; if it should change, `make goldens`")
    differences = {name: _largest_difference(made[name], committed[name]) for name in _VECTORS}
    for name, difference in differences.items():
        if math.isnan(difference) or difference > TOLERANCE:
            raise Failure(
                f"'{name}' differs by {difference:.3g} from {GOLDENS}, more than {TOLERANCE:g}; "
                "the versions in both tell whether ModelScope has changed"
            )
    return {
        "texts": len(made["texts"]),
        "dimensions": len(made["raw"][0]),
        "largest_difference": differences,
        "allowed_difference": TOLERANCE,
        "versions": made["versions"],
        "versions_committed": committed["versions"],
    }


def _largest_difference(made: list[list[float]], committed: list[list[float]]) -> float:
    """Return the largest difference in one place; NaN if one is, infinite if a place is missing."""
    if [len(row) for row in made] != [len(row) for row in committed]:
        return float("inf")
    differences = [
        abs(one - other)
        for row, other_row in zip(made, committed, strict=True)
        for one, other in zip(row, other_row, strict=True)
    ]
    # max() passes over what is not a number, unless that stands first.
    unordered = (difference for difference in differences if math.isnan(difference))
    return next(unordered, max(differences, default=float("inf")))


def _write(path: Path) -> None:
    venv.ensure("modelscope")
    program = str(MODELS / "modelscope_goldens.py")
    run([binary("modelscope", "python"), program, str(path)], log="modelscope-goldens")


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _command_line() -> int | None:
    _write(GOLDENS)
    say(f"wrote {GOLDENS}; look at what has changed")
    return None


if __name__ == "__main__":
    main(_command_line)
