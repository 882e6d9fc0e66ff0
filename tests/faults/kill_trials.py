# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Kill the module at every step and at random moments, and look at what can be seen each time.

Used by the tests and, longer, by ``make soak``; as a program:
``python tests/faults/kill_trials.py --random 40 --seed 1 --record FILE``.

A model is fetched (``new``), repaired after one byte changed on disk (``repair``), and replaced
after its lock changed (``update``). What must hold at every moment that a watcher sees, and after
each kill: the final path holds all files of one state that the case allows, never a part of one,
and with a manifest beside it exactly the files that the manifest lists. Afterwards a run without a
kill makes it right, leaves nothing else behind, and the run after that changes nothing. The models
come from test hubs, stand-ins, and the kills are SIGKILL.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "molecule" / "shared")]

from hub import Hub  # noqa: E402
from support import (  # noqa: E402
    REVISION,
    WEIGHTS,
    contents,
    finish,
    options,
    snapshot,
    start,
    write_model,
)

CASES = ("new", "repair", "update")
SIZE = 300_000
# For kills at random: so large that bytes reach the disk amid the download; for so many seconds.
LARGE_SIZE = 12_000_000
SECONDS = 1.5
BESIDE = {f"{REVISION}{suffix}" for suffix in ("", ".manifest.json", ".proof.json", ".state.json")}

Files = dict[str, str]


@dataclass
class Seen:
    """What was looked at and what was wrong."""

    looks: int = 0
    problems: list[str] = field(default_factory=list)


class Trials:
    """A store whose module is killed; the two hubs hold the old and the new files.

    ``size`` is that of the weights in bytes.
    """

    def __init__(self, folder: Path, size: int = SIZE) -> None:
        self._size = size
        self._folder = folder
        self._store = folder / "store"
        self._path = snapshot(self._store)
        self._manifest = Path(f"{self._path}.manifest.json")
        self._hubs = {name: Hub(folder / name) for name in ("old", "new")}
        self._models = {
            name: write_model(folder / name, size, seed) for seed, name in enumerate(self._hubs)
        }
        self._files = {name: contents(model) for name, model in self._models.items()}
        self._locks: dict[str, Any] = {}
        self._base = folder / "base"
        self._runner = subprocess.Popen(
            [sys.executable, str(HERE / "module_runner.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Trials:
        for name, hub in self._hubs.items():
            hub.start()
            self._locks[name] = self._run(options(hub, self._store))["result"]["manifest"]
            if name == "old":
                shutil.copytree(self._store, self._base)
            shutil.rmtree(self._store)
        return self

    def __exit__(self, *_: object) -> None:
        if self._runner.stdin is not None:
            self._runner.stdin.close()
        self._runner.wait(timeout=30)
        for hub in self._hubs.values():
            hub.stop()

    def every_point(self, case: str) -> int:
        """Kill before each changing call in turn; return how many there were."""
        point = 0
        while True:
            point += 1
            arguments = self._prepare(case)
            with self._watched(case) as seen:
                done = self._run(arguments, point)
            where = f"{case}, killed at call {point}"
            self._judge(case, seen, where)
            if not done["killed"]:
                assert done["points"] < point, where
                return point - 1
            self._heal(case, where)

    def time_of_a_run(self, case: str) -> float:
        """Return how long a run lasts here that nobody kills, in seconds."""
        arguments = self._prepare(case)
        with self._slow(case):
            begun = time.monotonic()
            finish(start(arguments))
        return time.monotonic() - begun

    def at_random(self, case: str, after: float) -> float:
        """Kill the module ``after`` seconds with a slow hub; return how far it had come (0..1)."""
        arguments = self._prepare(case)
        where = f"{case}, killed after {after:.3f} s"
        with self._slow(case), self._watched(case) as seen:
            process = start(arguments)
            time.sleep(after)
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=60)
        self._judge(case, seen, where)
        far = self._far()
        self._heal(case, where)
        return far

    @contextmanager
    def _slow(self, case: str) -> Iterator[None]:
        hub = self._hubs[_goal(case)]
        hub.bytes_per_second = int(self._size / SECONDS)
        try:
            yield
        finally:
            hub.bytes_per_second = 0

    def _run(self, arguments: dict[str, Any], point: int = 0) -> dict[str, Any]:
        assert self._runner.stdin is not None and self._runner.stdout is not None
        self._runner.stdin.write(json.dumps({"args": arguments, "point": point}) + "\n")
        self._runner.stdin.flush()
        answer: dict[str, Any] = json.loads(self._runner.stdout.readline())
        return answer

    def _prepare(self, case: str) -> dict[str, Any]:
        """Put the store into the state that the case begins with; return the module's options."""
        if self._store.exists():
            shutil.rmtree(self._store)
        name = _goal(case)
        if case != "new":
            shutil.copytree(self._base, self._store)
        if case == "repair":
            weights = self._path / WEIGHTS
            changed = bytearray(weights.read_bytes())
            changed[-1] ^= 0xFF
            weights.chmod(0o644)
            weights.write_bytes(changed)
            weights.chmod(0o444)
            self._damaged = contents(self._path)
        return options(self._hubs[name], self._store, lock=self._locks[name])

    def _allowed(self, case: str) -> list[Files]:
        if case == "new":
            return [self._files["old"]]
        if case == "repair":
            return [self._damaged, self._files["old"]]
        return [self._files["old"], self._files["new"]]

    @contextmanager
    def _watched(self, case: str) -> Iterator[Seen]:
        """Look at the final path all the time from a thread."""
        seen, stop = Seen(), threading.Event()
        allowed = self._allowed(case)

        def watch() -> None:
            while not stop.is_set():
                self._look(case, allowed, seen)
                stop.wait(0.001)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield seen
        finally:
            stop.set()
            thread.join()

    def _look(self, case: str, allowed: list[Files], seen: Seen) -> None:
        """Note what is wrong with the final path, unless it changed while we looked."""
        before = self._marks()
        try:
            files = contents(self._path) if self._path.exists() else None
            listed = json.loads(self._manifest.read_text()) if self._manifest.exists() else None
        except OSError:
            return
        if before != self._marks():
            return
        seen.looks += 1
        if files is None:
            return
        if files not in allowed:
            seen.problems.append(f"{self._path} holds {sorted(files)}, no state of the case")
        if listed is None:
            if case == "new":
                seen.problems.append("the folder has its name, but no manifest")
            return
        hashes = {item["path"]: item["sha256"] for item in listed["files"]}
        damaged = case == "repair" and files == self._damaged
        if hashes != files and not damaged:
            seen.problems.append("the manifest is not about the files beside it")

    def _marks(self) -> list[tuple[int, int, int] | None]:
        """Return what changes when the folder or its manifest is replaced."""
        marks: list[tuple[int, int, int] | None] = []
        for path in (self._path, self._path / WEIGHTS, self._manifest):
            try:
                found = os.stat(path)
                marks.append((found.st_ino, found.st_size, found.st_mtime_ns))
            except OSError:
                marks.append(None)
        return marks

    def _judge(self, case: str, seen: Seen, where: str) -> None:
        """Look once more, now that all is still, and fail with what was seen."""
        looks = seen.looks
        self._look(case, self._allowed(case), seen)
        assert seen.looks == looks + 1, f"{where}: the store changes without a module"
        assert not seen.problems, f"{where}: {seen.problems[0]} ({len(seen.problems)} times)"

    def _heal(self, case: str, where: str) -> None:
        """Run again: all is right, nothing else is left, and once more changes nothing."""
        name = _goal(case)
        arguments = options(self._hubs[name], self._store, lock=self._locks[name])
        healed = self._run(arguments)["result"]
        assert not healed.get("failed"), f"{where}: {healed}"
        assert contents(self._path) == self._files[name], where
        beside = {path.name for path in self._path.parent.iterdir()}
        assert beside == BESIDE, f"{where}: {sorted(beside ^ BESIDE)}"
        again = self._run(arguments)["result"]
        assert again["changed"] is False, f"{where}: {again['files']}"

    def _far(self) -> float:
        """Return what part of the weights had arrived when the module was killed."""
        whole = (self._models["old"] / WEIGHTS).stat().st_size
        for name in (f"{WEIGHTS}.part", WEIGHTS):
            arriving = Path(f"{self._path}.partial") / name
            if arriving.exists():
                return arriving.stat().st_size / whole
        return 1.0 if self._path.exists() else 0.0


def _goal(case: str) -> str:
    """Return which of the two states the case ends with."""
    return "new" if case == "update" else "old"


def random_kills(trials: Trials, count: int, seed: int) -> Iterator[tuple[str, float, float]]:
    """Kill ``count`` times, the cases in turn; yield case, seconds, and how far it had come.

    The moments are drawn from the length of a run on this machine, from the first bytes on.
    """
    chance = random.Random(seed)
    lengths = {case: trials.time_of_a_run(case) for case in CASES}
    for number in range(count):
        case = CASES[number % len(CASES)]
        after = lengths[case] * chance.uniform(0.2, 1.05)
        yield case, after, trials.at_random(case, after)


def main() -> None:
    """Do all points and a number of random kills; write what was done as JSON to the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--random", type=int, default=30, help="how many kills at random")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--record", type=Path, required=True, help="a file for what was done")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Trials(Path(folder)) as trials:
        points = {case: trials.every_point(case) for case in CASES}
    print(f"killed at each changing call: {points}", flush=True)
    kills = []
    with tempfile.TemporaryDirectory() as folder, Trials(Path(folder), LARGE_SIZE) as trials:
        for case, after, far in random_kills(trials, asked.random, asked.seed):
            kills.append({"case": case, "seconds": round(after, 3), "arrived": round(far, 2)})
            print(f"killed at random: {kills[-1]}", flush=True)
    record = {"seed": asked.seed, "changing_calls": points, "random_kills": kills}
    asked.record.write_text(json.dumps(record))


if __name__ == "__main__":
    main()
