# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Hold what was seen against the comparison's table and print it; exit with 1 if a row differs.

Usage: judge.py < {"rows": [...], "answers": {"as_written": {ID: OUTPUT}, "ours": {ID: OUTPUT}}}

Each row says, for a side, the expression that its output must match, from the beginning of a line.
A row that nobody asked is a difference, too.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

SIDES = ("as_written", "ours")


def differs(row: dict[str, Any], side: str, outputs: dict[str, str]) -> str:
    """Return how an output differs from what the row expects of this side; empty if it does not."""
    if side not in row:
        return ""
    output = outputs.get(row["id"])
    if output is None:
        return f"{row['id']}, {side}: was not asked"
    if re.search(row[side], output, re.MULTILINE):
        return ""
    return f"{row['id']}, {side}: no match for {row[side]!r} in:\n{output}"


def seen(row: dict[str, Any], side: str, outputs: dict[str, str]) -> str:
    """Return the part of an output that matched."""
    found = re.search(row[side], outputs.get(row["id"], ""), re.MULTILINE) if side in row else None
    return " ".join(found[0].split()) if found else "-"


def main() -> int:
    """Print the comparison in Markdown, and what differs from it."""
    given = json.load(sys.stdin)
    rows, answers = given["rows"], given["answers"]
    print("| | command | as written | ours |\n|---|---|---|---|")
    for row in rows:
        cells = [row["id"], f"`{row['run']}`", *(seen(row, side, answers[side]) for side in SIDES)]
        print(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    found = [differs(row, side, answers[side]) for row in rows for side in SIDES]
    differences = [text for text in found if text]
    print("\n".join(differences) or f"all {len(rows)} rows are as expected")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
