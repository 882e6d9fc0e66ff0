# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several files at once: how many, and what the first failure does to the others."""

from __future__ import annotations

import hashlib
import threading
import time

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._manifest import SourceHash
from ansible_collections.modelops.serving.plugins.module_utils._progress import Meter
from ansible_collections.modelops.serving.plugins.module_utils._sources import Source, SourceFile
from ansible_collections.modelops.serving.plugins.module_utils._transfer import Transfer
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import make_source

DATA = b"0123456789" * 100


def items(count):
    hashed = SourceHash("sha256", hashlib.sha256(DATA).hexdigest())
    return [SourceFile(f"file-{number}", len(DATA), hashed) for number in range(count)]


def test_files_arrive_together_but_not_too_many(serve, tmp_path):
    lock = threading.Lock()
    together = threading.Barrier(Source.streams, timeout=30)
    now = most = 0

    def answer(_path, _headers):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        together.wait()  # broken unless as many are asked for at once
        time.sleep(0.05)
        with lock:
            now -= 1
        return 200, {}, DATA

    url, _seen = serve(answer)
    meter = Meter()
    arrived = Transfer([make_source("http", url, timeout=60)], str(tmp_path), meter).obtain(
        items(3 * Source.streams)
    )
    assert len(arrived) == 3 * Source.streams
    assert most == Source.streams
    assert all((tmp_path / path).read_bytes() == DATA for path in arrived)
    assert meter.figures()["done"] == len(DATA) * len(arrived)


def test_the_first_failure_ends_the_others(serve, tmp_path):
    """Files that have not begun are not asked for any more."""

    def answer(path, _headers):
        return (404, {}, b"") if path.endswith("file-0") else (200, {}, DATA)

    url, seen = serve(answer)
    source = make_source("http", url)
    source.streams = 1
    with pytest.raises(ModelError) as caught:
        Transfer([source], str(tmp_path), Meter()).obtain(items(50))
    assert caught.value.code == "not_found"
    assert len(seen) < 50


def test_nothing_to_fetch_asks_nobody(serve, tmp_path):
    url, seen = serve(lambda _path, _headers: (404, {}, b""))
    meter = Meter()
    assert Transfer([make_source("http", url)], str(tmp_path), meter).obtain([]) == {}
    assert (seen, meter.transfer()) == ([], None)
