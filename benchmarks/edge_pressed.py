# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""How long others wait for the first event while one address presses the edge.

Quiet phases and attacks take turns, in an order that changes, within one run; what counts is the
ratio of their 99th percentiles. The attacker shares the core of those who are measured, at the
lowest priority, and never that of Nginx and the server.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

QUIET = "quiet"
# The last one tells how much of a burst's effect is its simultaneous handshakes.
ATTACKS = ("slow headers", "slow body", "idle connections", "burst", "burst, 10 at a time")
ROUNDS, REQUESTS = 6, 50
# No more rounds begin after that.
SECONDS = 90
MOST = 2.0


@contextmanager
def pressing(attack: str, name: str, authority: Path, port: int, path: str) -> Iterator[None]:
    """Have an attack under way."""
    if attack == QUIET:
        yield
        return
    program = str(Path(__file__).resolve().parent / "edge" / "attacker.py")
    command = ["nice", "-n", "19", sys.executable, program, name, str(authority)]
    attacker = subprocess.Popen(
        [*command, str(port), path, attack],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with attacker:
        if not attacker.stdout or attacker.stdout.readline() != "pressing\n":
            raise SystemExit(f"the attack '{attack}' did not begin")
        yield
    if attacker.returncode:
        raise SystemExit(f"the attack '{attack}' ended with {attacker.returncode}")


def measure(
    request: Callable[[], float], name: str, authority: Path, port: int, path: str
) -> dict[str, list[float]]:
    """Return the milliseconds of ``request`` in quiet and under each attack."""
    found: dict[str, list[float]] = {phase: [] for phase in (QUIET, *ATTACKS)}
    phases = list(found)
    deadline = time.monotonic() + SECONDS
    for _round in range(ROUNDS):
        if time.monotonic() > deadline:
            break
        random.shuffle(phases)
        for phase in phases:
            with pressing(phase, name, authority, port, path):
                found[phase] += [request() for _index in range(REQUESTS)]
    return found


def table(found: dict[str, list[float]]) -> str:
    """Return the results in Markdown."""
    p99 = {phase: statistics.quantiles(values, n=100)[-1] for phase, values in found.items()}
    lines = [
        f"{len(found[QUIET])} requests in each phase, each on a new connection.",
        "",
        "| one address presses by | median ms | p99 ms | p99 / quiet "
        f"| at most {MOST:.0f} |\n|---|---:|---:|---:|---|",
    ]
    for phase, values in found.items():
        ratio = p99[phase] / p99[QUIET]
        row = f"| {phase} | {statistics.median(values):.2f} | {p99[phase]:.2f} | {ratio:.2f} |"
        lines.append(f"{row} {'yes' if ratio <= MOST else 'no'} |")
    return "\n".join(lines)
