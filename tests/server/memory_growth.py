# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""How much a worker grows under mixed requests; with fake engines, the growth is the server's.

One server embeds and one chats; see `memory_calls` for what each is asked.

Usage: python memory_growth.py --requests N --record FILE
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from access import SIGN_IN
from gunicorn_process import Gunicorn
from memory_calls import CHAT, EMBEDDING, Call
from support import chat_sections, settings_content

WARM_UP = 250
ALLOWED_PERCENT = 5.0
_CLIENTS = 4
_SAMPLES = 40
_ENDS = 4
# malloc gives the 32 MiB of a real password hash back; the 1 MiB of the cheap one used here would
# stay with each thread that checks its first password, so that a new thread looked like growth.
_GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "1000000"}


class _ChatServer(Gunicorn):
    """A server that keeps conversations and lets a user sign in."""

    secrets: ClassVar[dict[str, Any]] = SIGN_IN | {
        "conversation_keys": [{"version": "1", "key": base64.b64encode(bytes(32)).decode()}]
    }


class Trial(NamedTuple):
    """A server, its settings in a folder, and what it is asked."""

    server: type[Gunicorn]
    sections: Callable[[Path], dict[str, Any]]
    calls: list[tuple[int, Call]]


def _embedding_sections(folder: Path) -> dict[str, Any]:
    return {**_sections(folder), "batching": {"max_queue_tokens": 4096}}


def _chat_sections(folder: Path) -> dict[str, Any]:
    return chat_sections(
        **_sections(folder),
        conversations={"file": str(folder / "conversations.sqlite")},
        authentication={
            "methods": ["api_key", "jwt"],
            # Wrong passwords lock nobody out, and are forgotten at once.
            "lockout_failures": 1000,
            "lockout_seconds": 1,
        },
    )


def _sections(folder: Path) -> dict[str, Any]:
    """Settings that refuse no request for its load, with an audit log that looks at every text."""
    return {
        "rates": {"requests_per_minute": 0, "address_requests_per_minute": 0},
        "audit": {"file": str(folder / "audit.jsonl"), "input": "masked"},
    }


TRIALS = {
    "embedding": Trial(Gunicorn, _embedding_sections, EMBEDDING),
    "chat": Trial(_ChatServer, _chat_sections, CHAT),
}


def measure(folder: Path, requests: int) -> dict[str, dict[str, Any]]:
    """Give each server an equal part of the requests; return what `_watch` does for each."""
    measured = {}
    for name, trial in TRIALS.items():
        own = folder / name
        own.mkdir()
        content = settings_content(own, **trial.sections(own))
        server = trial.server(own, "fake_wsgi:app", content, **_GIVE_BACK)
        try:
            server.wait_ready()
            measured[name] = _watch(server, trial.calls, requests // len(TRIALS))
        finally:
            server.close()
    return measured


def _watch(server: Gunicorn, calls: list[tuple[int, Call]], requests: int) -> dict[str, Any]:
    """Make the calls in turn; return resident memory in KiB at the ends, growth and slope."""
    worker = server.worker
    chance = random.Random(4)

    def send(number: int) -> None:
        expected, call = calls[number % len(calls)]
        status, _headers, body = call(server, random.Random(number))
        assert status == expected, body

    with ThreadPoolExecutor(_CLIENTS) as pool:
        list(pool.map(send, range(WARM_UP)))
        step = max(1, requests // _SAMPLES)
        samples = []
        for start in range(0, requests, step):
            numbers = list(range(WARM_UP + start, WARM_UP + min(start + step, requests)))
            chance.shuffle(numbers)
            list(pool.map(send, numbers))
            samples.append(_resident(worker))
    assert server.worker == worker, "the worker was replaced"
    first, last = np.mean(samples[:_ENDS]), np.mean(samples[-_ENDS:])
    slope = np.polyfit(np.arange(len(samples)) * step / 1000, samples, 1)[0]
    return {
        "requests": requests,
        "warm_up": WARM_UP,
        "first_kib": round(float(first)),
        "last_kib": round(float(last)),
        "growth_percent": round(float(100 * (last - first) / first), 2),
        "kib_per_1000_requests": round(float(slope), 1),
        "samples_kib": samples,
    }


def _resident(process: int | None) -> int:
    """Resident memory in KiB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def main() -> int:
    """Measure servers of its own; return 1 when one grows too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--record", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder), options.requests)
    options.record.write_text(json.dumps(measured))
    print(json.dumps(measured))
    return int(any(one["growth_percent"] >= ALLOWED_PERCENT for one in measured.values()))


if __name__ == "__main__":
    sys.exit(main())
