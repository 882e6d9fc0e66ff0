# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models and sources for tests."""

from __future__ import annotations

import hashlib
import json
import os
import struct

from ansible_collections.modelops.serving.plugins.module_utils._sources import (
    SOURCES,
    Connection,
    Wanted,
)

WEIGHTS = "model.safetensors"
WHEEL = "Tiny_Model-1.0-py3-none-any.whl"


def weights(count=100_000):
    """Return a safetensors file of ``count`` numbers that are not all the same."""
    header = {"embeddings": {"dtype": "F32", "shape": [count], "data_offsets": [0, 4 * count]}}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + struct.pack(f"<{count}f", *range(count))


def safetensors(header, data=b""):
    """Return a safetensors file with ``header`` (a mapping, or the bytes of one)."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def text(value):
    """Return a string as GGUF writes it."""
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(data)) + data


def gguf(values=(), tensors=(), *, data=b"", version=3, counts=None, alignment=32):
    """Return a GGUF file.

    ``values`` are (key, type, bytes of the value), ``tensors`` are (name, dimensions, type,
    offset); ``counts`` replaces their true numbers.
    """
    head = b"GGUF" + struct.pack("<IQQ", version, *(counts or (len(tensors), len(values))))
    for key, kind, value in values:
        head += text(key) + struct.pack("<I", kind) + value
    for name, dimensions, kind, offset in tensors:
        head += text(name) + struct.pack("<I", len(dimensions))
        head += struct.pack(f"<{len(dimensions)}QIQ", *dimensions, kind, offset)
    return head + bytes(-len(head) % alignment) + data


def lock_of(files, **changes):
    """Return the lock of ``files`` as a mapping."""
    return {
        "lock_version": 1,
        "source": "modelscope",
        "id": "owner/name",
        "revision": "v1.0.0",
        "commit": "v1.0.0",
        "model": {},
        "files": [
            {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for path, data in sorted(files.items())
        ],
        **changes,
    }


def write(folder, files):
    """Write ``files`` (bytes by path) below ``folder``."""
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return folder


def make_source(kind, endpoint, *, token="", retries=2, timeout=1.0, **wanted):
    """Return a source of the model owner/name v1.0.0."""
    values = {"id": "owner/name", "revision": "v1.0.0", "endpoint": str(endpoint), **wanted}
    connection = Connection(timeout=timeout, retries=retries, token=token)
    return SOURCES[kind](Wanted(**values), connection)


def tree(folder):
    """Return the relative paths of the files below ``folder``."""
    return {
        os.path.relpath(os.path.join(parent, name), folder)
        for parent, _folders, names in os.walk(folder)
        for name in names
    }


def contents(place):
    """Return the bytes of the snapshot's files by path."""
    found = {}
    for path in tree(place.path):
        with open(os.path.join(place.path, path), "rb") as stream:
            found[path] = stream.read()
    return found


def spoil(place, path, data=b"spoiled", keep_times=False):
    """Write ``data`` into a sealed file."""
    name = os.path.join(place.path, path)
    status = os.stat(name)
    os.chmod(name, 0o644)
    with open(name, "wb") as stream:
        stream.write(data)
    if keep_times:
        os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.chmod(name, 0o444)


def unseal(place):
    """Make the folders of a snapshot writable."""
    for parent, _folders, _names in os.walk(place.path):
        os.chmod(parent, 0o755)


def ranged(data):
    """Return an answer for ``serve``: ``data``, or the asked range of it."""

    def answer(_path, headers):
        asked = headers.get("Range")
        if not asked:
            return 200, {}, data
        begin, _dash, end = asked.removeprefix("bytes=").partition("-")
        part = data[int(begin) : int(end) + 1 if end else None]
        last = int(begin) + len(part) - 1
        return 206, {"Content-Range": f"bytes {begin}-{last}/{len(data)}"}, part

    return answer
