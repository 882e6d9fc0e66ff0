# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One lock, made from any source, decides about the bytes of every other source.

The hubs are the test hub, the index is a local one: stand-ins for the public ones.
"""

from __future__ import annotations

import hashlib
import io
import zipfile

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._lock import resolve
from ansible_collections.modelops.serving.plugins.module_utils._snapshot import Choice, Snapshot
from ansible_collections.modelops.serving.plugins.module_utils._store import Place
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    make_source,
    write,
)

KINDS = ("modelscope", "huggingface", "http", "package", "path")
WHEEL = "tiny_model-1.0-py3-none-any.whl"


def wheel_of(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(f"tiny_model/{path}", data)
    return buffer.getvalue()


class World:
    """All five sources, with the same files; ``publish`` changes them everywhere."""

    def __init__(self, folder, hub_root, hub, serve):
        self._folder, self._hub_root, self._hub = folder, hub_root, hub
        self._wheel = b""
        self._index, _seen = serve(self._answer)

    def publish(self, files):
        write(self._hub_root / "owner" / "name", files)
        write(self._folder / "model", files)
        self._wheel = wheel_of(files)

    def _answer(self, path, _headers):
        if path != "/simple/tiny-model/":
            return (200, {}, self._wheel) if path == f"/{WHEEL}" else (404, {}, b"")
        digest = hashlib.sha256(self._wheel).hexdigest()
        page = f'<a href="/{WHEEL}#sha256={digest}">{WHEEL}</a>'
        return 200, {"Content-Type": "text/html"}, page.encode()

    def source(self, kind, work, **more):
        endpoint = {
            "http": self._hub.url + "/store",
            "package": self._index + "/simple",
            "path": str(self._folder / "model"),
        }.get(kind, self._hub.url)
        name = {"id": "tiny-model", "revision": "1.0"} if kind == "package" else {}
        return make_source(kind, endpoint, retries=0, work=str(work), **name, **more)


@pytest.fixture
def world(tmp_path, hub_root, model_hub, serve, model):
    made = World(tmp_path, hub_root, model_hub, serve)
    made.publish(model)
    return made


@pytest.fixture
def fetch(world, tmp_path):
    """Fetch from a source by a lock, into a store of its own; return the files."""

    def run(kind, lock, store):
        name, revision = ("tiny-model", "1.0") if kind == "package" else ("owner/name", "v1.0.0")
        place = Place(str(tmp_path / store), kind, name, revision)
        source = world.source(kind, place.archive)
        Snapshot(place, source, Choice(lock=lock)).present()
        return place

    return run


def locked(world, kind, tmp_path):
    lock, _fetched = resolve(
        kind, world.source(kind, tmp_path / f"work-{kind}", hash_all=True), [], []
    )
    return lock


@pytest.mark.parametrize("kind", KINDS)
def test_the_lock_of_one_source_verifies_the_bytes_of_every_other(
    world, fetch, model, tmp_path, kind
):
    lock = locked(world, kind, tmp_path)
    for other in KINDS:
        place = fetch(other, lock, f"store-{other}")
        there = {path: (tmp_path / place.path / path).read_bytes() for path in model}
        assert there == model, (kind, other)


@pytest.mark.parametrize("other", KINDS)
def test_other_bytes_of_the_same_size_are_refused_from_every_source(
    world, fetch, model, tmp_path, other
):
    lock = locked(world, "path", tmp_path)
    world.publish({**model, "README.md": model["README.md"].replace(b"tiny", b"evil")})
    with pytest.raises(ModelError) as caught:
        fetch(other, lock, "store")
    assert (caught.value.code, caught.value.details["file"]) == ("hash_mismatch", "README.md")
    assert not list((tmp_path / "store").rglob("*.manifest.json"))


def test_the_locks_of_all_sources_name_the_same_files(world, tmp_path):
    locks = [locked(world, kind, tmp_path) for kind in KINDS]
    assert len({tuple((f.path, f.size, f.sha256) for f in lock.files) for lock in locks}) == 1
