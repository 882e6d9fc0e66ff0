# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold what a GGUF file says about itself against the file.

The format is described in https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; where that
leaves a choice, the rules are those of the reference implementation, src/gguf.cpp: tensors follow
each other in order, each padded to the alignment. Values are skipped, but for the few that are
asked for, so that the memory needed does not depend on the size of the vocabulary.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
from collections.abc import Collection
from typing import BinaryIO, NoReturn

from ._errors import ModelError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
_ALIGNMENT_KEY = b"general.alignment"
_ALIGNMENT = 32
_KEY_BYTES = 65535
_NAME_BYTES = 64
_MAX_DIMENSIONS = 4
_LARGEST = 2**63 - 1
# Far above what models have; they bound the time and memory that a made-up file can cost.
_MAX_VALUES = 100_000
_MAX_TENSORS = 1_000_000
_MAX_ELEMENTS = 2**30
_MAX_STEPS = 20_000_000
_MAX_DEPTH = 4

# Bytes of a value by gguf_metadata_value_type; a string and an array say how long they are.
_VALUE_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
# struct's letter of the whole numbers among them.
_WHOLE = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 10: "Q", 11: "q"}
_UINT32, _STRING, _ARRAY = 4, 8, 9

# (elements, bytes) of one block by ggml_type: type_traits in ggml.c, blocks in ggml-common.h.
_BLOCKS = {
    0: (1, 4),  # F32
    1: (1, 2),  # F16
    2: (32, 18),  # Q4_0
    3: (32, 20),  # Q4_1
    6: (32, 22),  # Q5_0
    7: (32, 24),  # Q5_1
    8: (32, 34),  # Q8_0
    9: (32, 36),  # Q8_1
    10: (256, 84),  # Q2_K
    11: (256, 110),  # Q3_K
    12: (256, 144),  # Q4_K
    13: (256, 176),  # Q5_K
    14: (256, 210),  # Q6_K
    15: (256, 292),  # Q8_K
    16: (256, 66),  # IQ2_XXS
    17: (256, 74),  # IQ2_XS
    18: (256, 98),  # IQ3_XXS
    19: (256, 50),  # IQ1_S
    20: (32, 18),  # IQ4_NL
    21: (256, 110),  # IQ3_S
    22: (256, 82),  # IQ2_S
    23: (256, 136),  # IQ4_XS
    24: (1, 1),  # I8
    25: (1, 2),  # I16
    26: (1, 4),  # I32
    27: (1, 8),  # I64
    28: (1, 8),  # F64
    29: (256, 56),  # IQ1_M
    30: (1, 2),  # BF16
    34: (256, 54),  # TQ1_0
    35: (256, 66),  # TQ2_0
    39: (32, 17),  # MXFP4
    40: (64, 36),  # NVFP4
    41: (128, 18),  # Q1_0
    42: (64, 18),  # Q2_0
}


def check_gguf(path: str, name: str) -> None:
    """Hold the head of the file ``path`` against the file; no tensor is read.

    ``name`` stands in the message. Raises ``ModelError`` (``weights_invalid``).
    """
    with open(path, "rb") as stream:
        _Reader(stream, os.path.getsize(path), name).check()


def read_values(head: bytes, size: int, name: str, wanted: Collection[str]) -> dict[str, int | str]:
    """Return those whole numbers and short texts among the first bytes of a file that are wanted.

    ``wanted`` are keys without their first word, such as ``context_length`` of
    ``llama.context_length``. What lies behind ``head`` is not looked at, and a file that ends there
    says no more. Raises ``ModelError`` (``weights_invalid``) for what cannot be GGUF.
    """
    reader = _Reader(io.BytesIO(head), size, name, wanted)
    with contextlib.suppress(EOFError):
        reader.check()
    return reader.found


class _Reader:
    """Go through one file from its start; every complaint names the place.

    Raises ``EOFError`` where the stream ends before ``size`` bytes.
    """

    def __init__(
        self, stream: BinaryIO, size: int, name: str, wanted: Collection[str] = ()
    ) -> None:
        self.found: dict[str, int | str] = {}
        self._wanted = wanted
        self._stream = stream
        self._size = size
        self._left = size
        self._name = name
        self._tensor = ""
        self._steps = 0
        self._alignment = _ALIGNMENT

    def check(self) -> None:
        if self._read(4, "its magic") != MAGIC:
            self._fail("it does not start with GGUF")
        version = self._number("<I", "its version")
        if version not in VERSIONS:
            hint = ", which may be of a big-endian machine" if version & 0xFFFF == 0 else ""
            self._fail(f"its version is {version}{hint}; versions 2 and 3 are known")
        tensors = self._count("tensors", 24, _MAX_TENSORS)
        values = self._count("values", 13, _MAX_VALUES)
        self._values(values)
        self._tensors(tensors)

    def _values(self, count: int) -> None:
        seen = set()
        for _index in range(count):
            key = self._text(_KEY_BYTES, "a key")
            if not key or key in seen:
                self._fail(f"the key {_show(key)} is empty or comes twice")
            seen.add(key)
            kind = self._number("<I", "a type")
            if key != _ALIGNMENT_KEY:
                short = key.decode("utf-8", "replace").partition(".")[2]
                if short not in self._wanted or not self._keep_value(kind, short):
                    self._skip_value(kind, key, 0)
                continue
            self._alignment = self._number("<I", "general.alignment") if kind == _UINT32 else 0
            if self._alignment == 0 or self._alignment & (self._alignment - 1):
                self._fail("general.alignment is no power of two of the type uint32")

    def _keep_value(self, kind: int, key: str) -> bool:
        """Read a whole number or a short text; say whether it was one."""
        if kind in _WHOLE:
            self.found[key] = self._number("<" + _WHOLE[kind], key)
        elif kind == _STRING:
            self.found[key] = self._text(_KEY_BYTES, key).decode("utf-8", "replace")
        else:
            return False
        return True

    def _skip_value(self, kind: int, key: bytes, depth: int) -> None:
        if kind in _VALUE_BYTES:
            self._skip(_VALUE_BYTES[kind], f"the value of {_show(key)}")
        elif kind == _STRING:
            self._skip(self._number("<Q", "a length"), f"the value of {_show(key)}")
        elif kind == _ARRAY:
            self._skip_array(key, depth + 1)
        else:
            self._fail(f"the value of {_show(key)} has the unknown type {kind}")

    def _skip_array(self, key: bytes, depth: int) -> None:
        kind = self._number("<I", "the type of an array")
        count = self._number("<Q", "the length of an array")
        if depth > _MAX_DEPTH or count > _MAX_ELEMENTS:
            self._fail(f"the array {_show(key)} is nested too deep or has too many elements")
        if kind in _VALUE_BYTES:
            self._skip(count * _VALUE_BYTES[kind], f"the array {_show(key)}")
            return
        self._steps += count
        if self._steps > _MAX_STEPS:
            self._fail(f"the array {_show(key)} has too many elements")
        for _index in range(count):
            self._skip_value(kind, key, depth)

    def _tensors(self, count: int) -> None:
        seen = set()
        end = 0
        for _index in range(count):
            name = self._text(_NAME_BYTES, "the name of a tensor")
            if name in seen:
                self._fail(f"the tensor {_show(name)} comes twice")
            seen.add(name)
            self._tensor = name.decode("utf-8", "replace")
            start = -(-end // self._alignment) * self._alignment
            size = self._tensor_bytes()
            offset = self._number("<Q", "an offset")
            if offset != start:
                self._fail(f"its data begins at {offset}, the one before it leaves off at {start}")
            end = offset + size
        self._tensor = ""
        data = -(-(self._size - self._left) // self._alignment) * self._alignment
        if count and data + end > self._size:
            self._fail(f"its tensors end at byte {data + end}, the file has {self._size}")

    def _tensor_bytes(self) -> int:
        """Read dimensions and type; return the size of the tensor's data in bytes."""
        dimensions = self._number("<I", "the number of dimensions")
        if dimensions > _MAX_DIMENSIONS:
            self._fail(f"it has {dimensions} dimensions, at most {_MAX_DIMENSIONS} are known")
        shape = [self._number("<Q", "a dimension") for _index in range(dimensions)]
        kind = self._number("<I", "a type")
        if kind not in _BLOCKS:
            self._fail(f"the type {kind} is unknown or no longer in use")
        elements, size = _BLOCKS[kind]
        if (shape[0] if shape else 1) % elements:
            self._fail(f"its rows have {shape[0] if shape else 1} elements, no whole blocks")
        count = 1
        for dimension in shape:
            count *= dimension
            if dimension > _LARGEST or count > _LARGEST:
                self._fail("its shape is larger than 63 bits can count")
        if count // elements * size > self._size:
            self._fail(f"its shape needs {count // elements * size} bytes, more than the file has")
        return count // elements * size

    def _count(self, what: str, least: int, most: int) -> int:
        """Read a count of things that need ``least`` bytes each."""
        count = self._number("<Q", f"the number of {what}")
        if count > most or count * least > self._left:
            self._fail(f"it says that it has {count} {what}, which cannot be")
        return count

    def _text(self, most: int, what: str) -> bytes:
        length = self._number("<Q", f"the length of {what}")
        if length > most:
            self._fail(f"{what} has {length} bytes, at most {most} are allowed")
        return self._read(length, what)

    def _number(self, form: str, what: str) -> int:
        return int(struct.unpack(form, self._read(struct.calcsize(form), what))[0])

    def _read(self, length: int, what: str) -> bytes:
        if length > self._left:
            self._fail(f"it ends in the middle of {what}")
        data = self._stream.read(length)
        if len(data) < length:
            raise EOFError(f"{self._name} goes on behind what was given of it")
        self._left -= length
        return data

    def _skip(self, length: int, what: str) -> None:
        if length > self._left:
            self._fail(f"it ends in the middle of {what}")
        self._stream.seek(length, os.SEEK_CUR)
        self._left -= length

    def _fail(self, why: str) -> NoReturn:
        place = f"{self._name}, tensor '{self._tensor}'," if self._tensor else self._name
        raise ModelError(
            f"{place} is broken: {why}. Fetch the model again, or ask its author.",
            "weights_invalid",
            path=self._name,
            tensor=self._tensor,
        )


def _show(name: bytes) -> str:
    return "'" + name[:80].decode("utf-8", "replace") + "'"
