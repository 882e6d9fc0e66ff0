# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""All checks, tests and scenarios, each with its time, and one closing line.

Usage: python3 -m tools.suite all|fast|lint

Two checks run at a time, the long ones first; beside them, which mostly means waiting for
downloads, the host images are made. The scenarios follow, three at a time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from . import checks, collection, engine, scenarios, venv
from .report import Failure, main, say, show, step

FAST_VENVS = ("dev", "units", "server", "model_tools", "clients")
# A scenario mostly waits for one task after the other, and keeps no core busy by itself.
SCENARIOS_AT_ONCE = 3


class Results:
    """Which parts passed and which failed."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.failed: list[str] = []

    def attempt(self, name: str, part: Callable[[], object]) -> bool:
        """Run a part; a failure is shown and counted, and the others still run."""
        try:
            with step(name):
                part()
        except Failure as failure:
            show(str(failure))
            self.failed.append(name)
            return False
        self.passed.append(name)
        return True

    def close(self, begun: float) -> int:
        """Print the summary; return the exit status."""
        say(f"all of it took {time.monotonic() - begun:.0f} s")
        for name in self.failed:
            show(f"FAILED: {name}")
        show(f"{len(self.passed)} passed, {len(self.failed)} failed")
        return 1 if self.failed or not self.passed else 0


def run_parts(
    results: Results, parts: Mapping[str, Callable[[], object]], at_once: int = 2
) -> None:
    """Run parts, some of them at a time, in their order."""
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        list(pool.map(results.attempt, parts.keys(), parts.values()))


def run_checks(results: Results, chosen: Sequence[Callable[[], None]]) -> None:
    """Run checks, which all need the collection in its place."""
    collection.link()
    run_parts(results, {check.__name__.replace("_", " "): check for check in chosen})


def run_all(results: Results) -> None:
    """Run everything; the engine runs for as long as that takes."""
    names = scenarios.names()
    with engine.running(), ThreadPoolExecutor(max_workers=1) as beside:
        ready = beside.submit(results.attempt, "host images", partial(scenarios.prepare, names))
        run_checks(results, (*checks.TESTS, *checks.LINT))
        if ready.result():
            parts = {f"scenario {n}": partial(scenarios.run_one, n) for n in names}
            run_parts(results, parts, SCENARIOS_AT_ONCE)
        else:
            say(f"without host images and tarball none of the {len(names)} scenarios was run")


def _command_line() -> int | None:
    wanted = sys.argv[1] if len(sys.argv) == 2 else ""
    begun, results = time.monotonic(), Results()
    if wanted not in {"all", "fast", "lint"}:
        raise Failure((__doc__ or "").strip())
    for name in FAST_VENVS if wanted != "lint" else ("dev", "server"):
        venv.ensure(name)
    if wanted == "all":
        run_all(results)
    else:
        run_checks(results, (*(checks.TESTS if wanted == "fast" else ()), *checks.LINT))
    return results.close(begun)


if __name__ == "__main__":
    main(_command_line)
