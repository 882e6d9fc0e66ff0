# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""How much a worker grows under mixed requests; with a fake engine, the growth is the server's.

Usage: python memory_growth.py --requests N --record FILE
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from fakes import word_id
from gunicorn_process import Gunicorn
from support import settings_content

WARM_UP = 500
ALLOWED_PERCENT = 5.0
_CLIENTS = 4
_SAMPLES = 40
_ENDS = 4

Call = Callable[[Gunicorn, random.Random], tuple[int, dict[str, str], Any]]


# The fake engine knows words by a short hash; a made-up one may be taken for one with an effect.
_EFFECTS = {word_id(word) for word in ("poison", "nan", "die", "slow")}


def _words(chance: random.Random, count: int) -> str:
    made_up = iter(lambda: f"w{chance.randrange(10**9)}", None)
    return " ".join(islice((word for word in made_up if word_id(word) not in _EFFECTS), count))


def _embed(server: Gunicorn, texts: Any) -> tuple[int, dict[str, str], Any]:
    body = {"model": "all-MiniLM-L6-v2", "input": texts}
    return server.request("POST", "/v1/embeddings", body)


# Every kind of request, and the status of its answer.
CALLS: list[tuple[int, Call]] = [
    (200, lambda server, chance: _embed(server, _words(chance, 1))),
    (200, lambda server, chance: _embed(server, [_words(chance, 12) for _text in range(8)])),
    (200, lambda server, chance: _embed(server, _words(chance, 100))),
    (
        200,
        lambda server, chance: server.request(
            "POST", "/predict", {"task_type": "embedding", "input_text": _words(chance, 5)}
        ),
    ),
    (200, lambda server, chance: server.request("GET", "/v1/models")),
    (200, lambda server, chance: server.request("GET", "/ready")),
    (401, lambda server, chance: server.request("GET", "/v1/models", Authorization="Bearer no")),
    (404, lambda server, chance: server.request("GET", f"/{_words(chance, 1)}")),
    (405, lambda server, chance: server.request("DELETE", "/predict")),
    (413, lambda server, chance: _embed(server, [_words(chance, 1)] * 9)),
    (422, lambda server, chance: _embed(server, chance.randrange(10**9))),
    (500, lambda server, chance: _embed(server, f"poison {_words(chance, 2)}")),
]


def sections(folder: Path) -> dict[str, Any]:
    """Settings that refuse no request for its load, with an audit log that looks at every text."""
    return {
        "batching": {"max_queue_tokens": 4096},
        "rates": {"requests_per_minute": 0, "address_requests_per_minute": 0},
        "audit": {"file": str(folder / "audit.jsonl"), "input": "masked"},
    }


def measure(server: Gunicorn, requests: int, warm_up: int = WARM_UP) -> dict[str, Any]:
    """Send requests of all kinds; return resident memory in KiB at the ends, growth and slope."""
    worker = server.worker
    chance = random.Random(4)

    def send(number: int) -> None:
        expected, call = CALLS[number % len(CALLS)]
        status, _headers, body = call(server, random.Random(number))
        assert status == expected, body

    with ThreadPoolExecutor(_CLIENTS) as pool:
        list(pool.map(send, range(warm_up)))
        step = max(1, requests // _SAMPLES)
        samples = []
        for start in range(0, requests, step):
            numbers = list(range(warm_up + start, warm_up + min(start + step, requests)))
            chance.shuffle(numbers)
            list(pool.map(send, numbers))
            samples.append(_resident(worker))
    assert server.worker == worker, "the worker was replaced"
    first, last = np.mean(samples[:_ENDS]), np.mean(samples[-_ENDS:])
    slope = np.polyfit(np.arange(len(samples)) * step / 1000, samples, 1)[0]
    return {
        "requests": requests,
        "warm_up": warm_up,
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
    """Measure a server of its own; return 1 when it grows too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--record", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = Gunicorn(folder, "fake_wsgi:app", settings_content(folder, **sections(folder)))
        try:
            server.wait_ready()
            measured = measure(server, options.requests)
        finally:
            server.close()
    options.record.write_text(json.dumps(measured))
    print(json.dumps(measured))
    return int(measured["growth_percent"] >= ALLOWED_PERCENT)


if __name__ == "__main__":
    sys.exit(main())
