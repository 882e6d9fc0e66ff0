# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A disk that is full, before the first byte and amid a download: a real, small file system."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub import Hub
from support import (
    WEIGHTS,
    assert_nothing_visible,
    assert_whole,
    finish,
    options,
    run,
    snapshot,
    start,
    write_model,
)

ROOM = 40 << 20
SIZE = 20 << 20  # several of the pieces that are written at once


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own with ``ROOM`` bytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(folder)]
    done = subprocess.run(mount, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.fail(f"a small file system cannot be mounted; run this as root: {done.stderr}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path, leave: int = 0) -> Path:
    """Let another process take the room of the disk but ``leave`` bytes."""
    filler = folder / "filler"
    program = f"head -c {ROOM - leave} /dev/zero > {filler}"
    subprocess.run(["sh", "-c", program], check=False, stderr=subprocess.DEVNULL)
    return filler


def test_full_before_the_first_byte(hub_root: Path, model_hub: Hub, small_disk: Path) -> None:
    model = write_model(hub_root, SIZE)
    filler = fill(small_disk, leave=SIZE // 2)
    store = small_disk / "store"
    answer = run(options(model_hub, store))
    assert answer["failed"] and answer["code"] == "disk_full", answer
    assert answer["needed"] > answer["free"] and "Make room" in answer["msg"], answer
    asked = [record["path"].rsplit("/", 1)[1] for record in model_hub.journal.records()]
    assert asked == ["manifest.json"], "bytes were fetched that had no room"
    assert_nothing_visible(store)

    filler.unlink()
    assert not run(options(model_hub, store))["failed"]
    assert_whole(store, model)


def test_full_amid_a_download(hub_root: Path, model_hub: Hub, small_disk: Path) -> None:
    model = write_model(hub_root, SIZE)
    store = small_disk / "store"
    model_hub.bytes_per_second = SIZE // 4
    process = start(options(model_hub, store, retries=0))
    part = Path(f"{snapshot(store)}.partial") / f"{WEIGHTS}.part"
    while process.poll() is None and not (part.exists() and part.stat().st_size):
        time.sleep(0.02)
    filler = fill(small_disk)
    answer = finish(process)
    assert answer["failed"] and answer["code"] == "disk_full", answer
    assert_nothing_visible(store)

    filler.unlink()
    model_hub.bytes_per_second = 0
    model_hub.journal.clear()
    assert not run(options(model_hub, store))["failed"]
    assert_whole(store, model)
    ranges = [record["headers"].get("Range") for record in model_hub.journal.records()]
    assert any(ranges), "what had arrived was fetched again"
