# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Run the rows of the comparison for one moment and one place; print their outputs as JSON.

Usage: ask.py TABLE MOMENT PLACE SIDE NAME=VALUE...

The outputs are by the row's id: what the command printed, and a line ``exit <status>``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

SECONDS = 90


def run(command: str, variables: dict[str, str]) -> str:
    """Return what a command printed on both channels, and its exit status."""
    done = subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
        check=False,
    )
    return f"{done.stdout.decode(errors='replace')}\nexit {done.returncode}\n"


def main() -> None:
    """Ask what the arguments choose."""
    table, moment, place, side, *settings = sys.argv[1:]
    variables = dict(setting.split("=", 1) for setting in settings)
    with open(table, encoding="utf-8") as file:
        rows = json.load(file)
    chosen = [
        row for row in rows if (row["moment"], row["place"]) == (moment, place) and side in row
    ]
    print(json.dumps({row["id"]: run(row["run"], variables) for row in chosen}))


if __name__ == "__main__":
    main()
