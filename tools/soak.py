# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What takes too long, or too much of a machine, to be run with all tests.

Usage: python3 -m tools.soak [PART...]

Each part leaves a record in .cache/soak/<part>.json; docs/soak.md shows the last ones.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from . import kills, memory, modelscope, scanners, verity_machine
from .paths import CACHE
from .report import Failure, main, say, show, step

RECORDS = CACHE / "soak"
# Each returns what it measured, and raises Failure if something is not as it should be.
PARTS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "verity": verity_machine.run_verity,
    "limits": verity_machine.run_limits,
    "kills": kills.run_kills,
    "memory": memory.run_memory,
    "modelscope": modelscope.run_goldens,
    "scanners": scanners.run_scanners,
}


def run_part(name: str) -> dict[str, Any]:
    """Run one part, write its record and return it."""
    begun = time.monotonic()
    with step(f"Soak: {name}"):
        result = PARTS[name]()
    record = {
        "part": name,
        "command": f"make soak PART={name}",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "seconds": round(time.monotonic() - begun),
        "result": result,
    }
    RECORDS.mkdir(parents=True, exist_ok=True)
    path = RECORDS / f"{name}.json"
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    show(json.dumps(record, indent=2))
    say(f"  the record is {path}")
    return record


def _command_line() -> int | None:
    chosen = sys.argv[1:] or list(PARTS)
    unknown = sorted(set(chosen) - set(PARTS))
    if unknown:
        raise Failure(f"no part '{unknown[0]}'; choose from {', '.join(PARTS)}")
    failed = []
    for name in chosen:
        try:
            run_part(name)
        except Failure as failure:
            show(str(failure))
            failed.append(name)
    show(f"{len(chosen) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    main(_command_line)
