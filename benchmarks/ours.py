# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What ``verify.py`` measures of this collection; run in a process of its own, prints JSON.

``PYTHONPATH`` is the folder of collections. All seconds are inside the process, without its start.

* ``ours.py fetch ENDPOINT ID STORE`` brings a model from a ModelScope hub into an empty store
* ``ours.py check ENDPOINT ID STORE`` checks it again, unchanged
* ``ours.py verify STORE ID`` hashes all its files
* ``ours.py thread FOLDER`` hashes the files of a folder with one hashlib thread
* ``ours.py read FOLDER`` reads them on all cores and hashes nothing
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.modelops.serving.plugins.module_utils import _hashing
from ansible_collections.modelops.serving.plugins.module_utils._manifest import read_manifest
from ansible_collections.modelops.serving.plugins.module_utils._snapshot import Choice, Snapshot
from ansible_collections.modelops.serving.plugins.module_utils._sources import (
    SOURCES,
    Connection,
    Wanted,
)
from ansible_collections.modelops.serving.plugins.module_utils._store import (
    Place,
    State,
    find_damage,
)

REVISION = "v1.0.0"


def fetch(endpoint: str, model: str, store: str) -> bool:
    """Have the model in the store; say whether anything changed."""
    place = Place(store, "modelscope", model, REVISION)
    wanted = Wanted(model, REVISION, endpoint, work=place.archive)
    source = SOURCES["modelscope"](wanted, Connection())
    return Snapshot(place, source, Choice()).present().changed


def verify(store: str, model: str) -> bool:
    """Hash the snapshot; say whether it is damaged."""
    place = Place(store, "modelscope", model, REVISION)
    manifest = read_manifest(place.manifest)
    return bool(find_damage(place.path, manifest, State(place.state), full=True))


def thread(folder: str) -> bool:
    """Hash with one thread and a buffer that is large enough for nothing else to count."""
    view = memoryview(bytearray(1 << 20))
    for path in _files(folder):
        digest = hashlib.sha256()
        with open(path, "rb", buffering=0) as stream:
            while size := stream.readinto(view):
                digest.update(view[:size])
    return False


def read(folder: str) -> bool:
    """Read with as many threads as hash, to see what the disk gives."""

    def one(path: str) -> None:
        view = memoryview(bytearray(1 << 20))
        with open(path, "rb", buffering=0) as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            while stream.readinto(view):
                pass

    with ThreadPoolExecutor(_hashing.cores()) as pool:
        list(pool.map(one, _files(folder)))
    return False


def _files(folder: str) -> list[str]:
    return sorted(entry.path for entry in os.scandir(folder) if entry.is_file())


ACTIONS = {"fetch": fetch, "check": fetch, "verify": verify, "thread": thread, "read": read}

if __name__ == "__main__":
    begun = time.perf_counter()
    result = ACTIONS[sys.argv[1]](*sys.argv[2:])
    print(json.dumps({"seconds": time.perf_counter() - begun, "result": result}))
