# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Progress on the terminal: one line per step with its time, a sign of life when it is long."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from .paths import LOGS, ROOT

HEARTBEAT_SECONDS = 15.0
TAIL_LINES = 40
_STARTED = time.monotonic()
_LOCK = threading.Lock()


class Failure(Exception):
    """A step failed; the message says what happened, where, and what to do."""


def say(text: str) -> None:
    """Print one line with the time since the command began."""
    with _LOCK:
        print(f"[{time.monotonic() - _STARTED:6.1f} s] {text}", flush=True)


def show(text: str) -> None:
    """Print text as it is, without mixing it with another thread's lines."""
    with _LOCK:
        print(text, flush=True)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Announce a step, show every 15 s that it still runs, and print how long it took."""
    begun = time.monotonic()
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            say(f"  … {name}, {time.monotonic() - begun:.0f} s so far")

    say(name)
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        say(f"  ✗ {name} failed after {time.monotonic() - begun:.1f} s")
        raise
    else:
        say(f"  ✓ {name} ({time.monotonic() - begun:.1f} s)")
    finally:
        done.set()
        thread.join()


def run(
    command: Sequence[str],
    *,
    log: str,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
) -> str:
    """Run a command quietly and return what it printed.

    The output goes to ``.cache/logs/<log>.log``. Raises ``Failure`` with its last lines.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    path = LOGS / f"{log}.log"
    with path.open("w", encoding="utf-8") as output:
        output.write(f"$ {' '.join(command)}\n")
        output.flush()
        try:
            status = subprocess.run(
                list(command),
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
        except FileNotFoundError as error:
            raise Failure(f"{command[0]} is not installed ({error})") from error
    text = path.read_text(encoding="utf-8", errors="replace").partition("\n")[2]
    if status != 0:
        tail = "\n".join(text.splitlines()[-TAIL_LINES:])
        raise Failure(f"{tail}\n'{' '.join(command)}' ended with {status}; all of it: {path}")
    return text


def main(function: Callable[[], int | None]) -> None:
    """Run a command line's function; a ``Failure`` becomes a message and exit status 1."""
    try:
        status = function()
    except Failure as failure:
        print(f"\nFAILED: {failure}", file=sys.stderr, flush=True)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr, flush=True)
        sys.exit(130)
    sys.exit(status or 0)
