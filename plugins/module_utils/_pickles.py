# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell pickles, which run code when they are loaded, by their names and by their content.

Nothing is unpickled. A stream of protocol 0 or 1 has no mark of its own: it is found by name, and
where ``is_data`` is asked. Archives other than zip are not looked into.
"""

from __future__ import annotations

import ast
import io
import os
import pickletools
import re
import struct
import tarfile
import zipfile
from typing import BinaryIO

# torch, joblib, dill, Paddle (pdparams), rust-bert (ot), NeMo, and plain pickle.
SUFFIXES = (
    ".bin",
    ".ckpt",
    ".dill",
    ".distcp",
    ".joblib",
    ".nemo",
    ".ot",
    ".pckl",
    ".pdopt",
    ".pdparams",
    ".pickle",
    ".pkl",
    ".pt",
    ".pt2",
    ".pth",
    ".ptl",
    ".sav",
    ".torchscript",
)
HEAD_BYTES = 64 * 1024
DIRECTORY_BYTES = 16 * 1024 * 1024
_ZIP = b"PK\x03\x04"
_NPY = b"\x93NUMPY"
# zip, 7z, and what joblib unpacks: gzip, bzip2, xz, lzma, zlib, lz4, its own ZF; zstd.
_PACKED = (
    _ZIP,
    b"7z\xbc\xaf\x27\x1c",
    b"\x1f\x8b",
    b"BZ",
    b"\xfd7zXZ",
    b"\x5d\x00",
    b"\x78",
    b"\x04\x22\x4d\x18",
    b"ZF",
    b"\x28\xb5\x2f\xfd",
)
_OPCODES = {ord(opcode.code) for opcode in pickletools.opcodes}
# What imports, calls, or hands the loader something to look up.
_ACTIVE = {
    "GLOBAL",
    "STACK_GLOBAL",
    "INST",
    "OBJ",
    "NEWOBJ",
    "NEWOBJ_EX",
    "REDUCE",
    "BUILD",
    "EXT1",
    "EXT2",
    "EXT4",
    "PERSID",
    "BINPERSID",
}
_UNKNOWN_OPCODE = re.compile(r"opcode .* unknown")


def is_pickle_name(path: str) -> bool:
    """Say whether files of this name usually are pickles."""
    return path.lower().endswith(SUFFIXES)


def find_pickle(path: str) -> str:
    """Say what about the content of the file ``path`` is pickle; nothing if nothing is found."""
    with open(path, "rb") as stream:
        head = stream.read(HEAD_BYTES)
        if head.startswith(_ZIP):
            return _find_in_zip(stream)
        if head.startswith(_NPY):
            return "a NumPy array of Python objects" if _holds_objects(io.BytesIO(head)) else ""
        if len(head) > 2 and head[0] == 0x80 and head[1] <= 5 and head[2] in _OPCODES:
            return f"a pickle of protocol {head[1]}"
    return ""


def is_data(path: str) -> bool:
    """Say whether the file ``path`` can be no pickle and no archive, whatever its name says.

    A loader of pickles would give up at the first byte that is no instruction. A file is taken for
    data only if that byte comes before any instruction that does something.
    """
    if find_pickle(path):
        return False
    with open(path, "rb") as stream:
        head = stream.read(HEAD_BYTES)
    if head.startswith(_NPY):
        return True
    if head.startswith(_PACKED) or tarfile.is_tarfile(path):
        return False
    try:
        for opcode, _value, _place in pickletools.genops(head):
            if opcode.name in _ACTIVE:
                return False
    except ValueError as error:
        # Any other complaint is about an argument, and loaders are less strict than this one.
        return _UNKNOWN_OPCODE.search(str(error)) is not None
    return False


def _find_in_zip(stream: BinaryIO) -> str:
    names = zip_names(stream)
    if names is None:
        return "a zip archive that cannot be listed"
    for name in names:
        if is_pickle_name(name):
            return f"a zip archive with '{name[:80]}'"
    with zipfile.ZipFile(stream) as archive:
        for name in names:
            if name.lower().endswith(".npy"):
                try:
                    with archive.open(name) as member:
                        objects = _holds_objects(io.BytesIO(member.read(HEAD_BYTES)))
                except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, ValueError):
                    return f"a zip archive with the unreadable array '{name[:80]}'"
                if objects:
                    return f"a zip archive with '{name[:80]}', an array of Python objects"
    return ""


def zip_names(stream: BinaryIO) -> list[str] | None:
    """Return the names in a zip archive; none if it is broken or its table is not sensible."""
    try:
        if _directory_bytes(stream) > DIRECTORY_BYTES:
            return None
        with zipfile.ZipFile(stream) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error):
        return None


def _directory_bytes(stream: BinaryIO) -> int:
    """Return the size of the table of members, which zipfile reads as a whole.

    The records are those of APPNOTE.TXT 4.3.14 to 4.3.16.
    """
    size = stream.seek(0, os.SEEK_END)
    start = max(size - 22 - 65535 - 20, 0)
    stream.seek(start)
    tail = stream.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0:
        raise zipfile.BadZipFile("no end record")
    found: int = struct.unpack_from("<I", tail, end + 12)[0]
    locator = tail[max(end - 20, 0) : end]
    if locator.startswith(b"PK\x06\x07"):
        stream.seek(struct.unpack_from("<Q", locator, 8)[0] + 40)
        found = max(found if found != 0xFFFFFFFF else 0, struct.unpack("<Q", stream.read(8))[0])
    return found


def _holds_objects(stream: BinaryIO) -> bool:
    """Say whether a .npy file holds Python objects; yes where its header cannot be read.

    The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
    """
    head = stream.read(12)
    if not head.startswith(_NPY) or len(head) < 12:
        return True
    long = head[6] > 1
    length = struct.unpack("<I", head[8:12])[0] if long else struct.unpack("<H", head[8:10])[0]
    stream.seek(12 if long else 10)
    text = stream.read(min(length, HEAD_BYTES))
    try:
        header = ast.literal_eval(text.decode("utf-8").strip())
        return _names_objects(header["descr"])
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        return True


def _names_objects(descr: object) -> bool:
    """Say whether a dtype's description names the type O (object), at any depth."""
    if isinstance(descr, str):
        return "O" in descr
    if isinstance(descr, (list, tuple)):
        # A field is (name, type) or (name, type, shape); its name may hold any letter.
        return any(
            _names_objects(field[1])
            if isinstance(field, tuple) and len(field) > 1
            else _names_objects(field)
            for field in descr
        )
    return False
