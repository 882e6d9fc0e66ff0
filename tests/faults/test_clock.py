# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The host's clock jumps by years while a model is fetched.

libfaketime, which the tests' tool installs, makes the clock of one process jump: a stand-in for a
host that is set right by a time server.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hub import Hub
from support import assert_whole, finish, options, run, start, write_model

LIBRARY = "libfaketimeMT.so.1"
SIZE = 400_000
SECONDS = 4


@pytest.fixture
def library() -> str:
    """The path of libfaketime."""
    found = sorted(Path("/usr/lib").glob(f"*/faketime/{LIBRARY}"))
    if not found:
        pytest.fail(f"{LIBRARY} is missing; install the package faketime")
    return str(found[0])


@pytest.mark.parametrize("jumps", [("+10y", "-30y"), ("-30y", "+10y")], ids=["forward", "back"])
def test_the_clock_jumps(
    jumps: tuple[str, str],
    library: str,
    hub_root: Path,
    model_hub: Hub,
    store: Path,
    tmp_path: Path,
) -> None:
    model = write_model(hub_root, SIZE)
    model_hub.bytes_per_second = SIZE // SECONDS
    clock, progress = tmp_path / "clock", tmp_path / "progress"
    clock.write_text("+0")
    clocks = {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        # As on a real host: what is set is the time of day.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    process = start(options(model_hub, store, progress_file=str(progress)), **clocks)
    seen = watch(process, progress)
    for jump in jumps:
        figures = next(seen)
        clock.write_text(jump)
        assert figures["percent"] < 100
    everything = [figures, *seen]
    answer = finish(process)
    assert not answer["failed"], answer
    assert_whole(store, model)
    for figures in (*everything, answer["transfer"]):
        assert figures["rate"] >= 0 and figures["seconds"] < 600, figures
        assert figures["left"] is None or 0 <= figures["left"] < 600, figures
        assert figures["percent"] is None or 0 <= figures["percent"] <= 100, figures

    again = run(options(model_hub, store))
    assert not again["changed"], again


def watch(process: Any, progress: Path) -> Any:
    """Yield each new state of the progress file while the model is fetched."""
    last = ""
    while process.poll() is None:
        time.sleep(0.02)
        text = progress.read_text() if progress.exists() else ""
        if text and text != last:
            last = text
            figures = json.loads(text)
            if figures["phase"] == "fetching" and figures["done"]:
                yield figures
