# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the header of a safetensors file, and hold it against the file.

The format: 8 bytes, little-endian, the length N of the header; N bytes of JSON; the tensors
(https://github.com/huggingface/safetensors#format). The rules are those of the reference
implementation, safetensors/src/tensor.rs (``read_metadata`` and ``Metadata::validate``), and the
two that its description adds: the header starts with ``{`` and names nothing twice.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any, NamedTuple

from ._errors import ModelError

LENGTH_BYTES = 8
HEADER_BYTES = 100_000_000  # MAX_HEADER_SIZE
_LARGEST = 2**64 - 1
_METADATA = "__metadata__"
_FIELDS = {"dtype", "shape", "data_offsets"}

# Dtype::bitsize
_BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}


class Tensor(NamedTuple):
    """One tensor: its type, its dimensions, and its bytes, counted from the header's end."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def elements(self) -> int:
        """The number of its elements."""
        product = 1
        for dimension in self.shape:
            product *= dimension
        return product


def check_safetensors(path: str, name: str) -> None:
    """Hold the header of the file ``path`` against the file; no tensor is read.

    ``name`` stands in the message. Raises ``ModelError`` (``weights_invalid``).
    """
    size = os.path.getsize(path)
    with open(path, "rb") as stream:
        head = stream.read(LENGTH_BYTES)
        head += stream.read(min(header_length(head), HEADER_BYTES))
    read_header(head, name, size)


def header_length(head: bytes) -> int:
    """Return the header's length in bytes that the first 8 bytes of a file state; 0 if shorter."""
    if len(head) < LENGTH_BYTES:
        return 0
    return int(struct.unpack("<Q", head[:LENGTH_BYTES])[0])


def read_header(head: bytes, name: str, size: int) -> dict[str, Tensor]:
    """Return the tensors by name.

    ``head`` are the first bytes of the file, at least to the header's end; ``size`` is the size of
    the file in bytes. Raises ``ModelError`` (``weights_invalid``).
    """
    length = header_length(head)
    if not 0 < length <= min(HEADER_BYTES, size - LENGTH_BYTES):
        raise _invalid(name, f"its header's length makes no sense ({length} bytes)")
    text = head[LENGTH_BYTES : LENGTH_BYTES + length]
    if len(text) < length or not text.startswith(b"{"):
        raise _invalid(name, "its header is cut, or does not start with '{'")
    tensors = _parse(text, name)
    _check_order(tensors, name, size - LENGTH_BYTES - length)
    return tensors


def _parse(text: bytes, name: str) -> dict[str, Tensor]:
    try:
        header = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_whole_number,
            parse_constant=_refuse,
        )
    except (ValueError, RecursionError) as error:
        raise _invalid(name, f"its header is not what the format asks for ({error})") from None
    if not isinstance(header, dict):
        raise _invalid(name, "its header is one tensor, and not a table of tensors")
    metadata = header.pop(_METADATA, None)
    if metadata is not None and not (
        isinstance(metadata, dict) and all(isinstance(text, str) for text in metadata.values())
    ):
        raise _invalid(name, f"'{_METADATA}' does not map text to text")
    for tensor, item in header.items():
        if not isinstance(item, Tensor):
            raise _invalid(name, "it needs a dtype, a shape and data_offsets", tensor)
    return header


def _object(pairs: list[tuple[str, Any]]) -> Any:
    """Build a tensor or a mapping. A tensor is made small at once: there may be very many."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _value in pairs]
        raise ValueError(f"it names '{next(n for n in names if names.count(n) > 1)[:80]}' twice")
    if not found.keys() >= _FIELDS:
        return found
    dtype, shape, offsets = found["dtype"], found["shape"], found["data_offsets"]
    if not (isinstance(dtype, str) and _are_sizes(shape) and _are_sizes(offsets)):
        return found
    if len(offsets) != 2:
        return found
    return Tensor(dtype, tuple(shape), *offsets)


def _are_sizes(values: object) -> bool:
    if not isinstance(values, list):
        return False
    return all(isinstance(value, int) and not isinstance(value, bool) for value in values)


def _whole_number(text: str) -> int:
    # The length is looked at first: turning very many digits into a number takes very long.
    if len(text) > len(str(_LARGEST)) or not 0 <= int(text) <= _LARGEST:
        raise ValueError(f"the number {text[:24]} is out of range")
    return int(text)


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _check_order(tensors: dict[str, Tensor], name: str, room: int) -> None:
    """Refuse holes, overlaps, and tensors whose bytes are not those of their shape."""
    start = 0
    for tensor, item in sorted(tensors.items(), key=lambda pair: (pair[1].begin, pair[1].end)):
        if item.dtype not in _BITS:
            raise _invalid(name, f"the dtype '{item.dtype[:24]}' is unknown", tensor)
        if item.begin != start:
            what = "overlaps the one before it" if item.begin < start else "follows a hole"
            raise _invalid(name, f"it {what}: it begins at {item.begin}, not at {start}", tensor)
        bits = _bits(item, name, tensor)
        if bits % 8 or item.end - item.begin != bits // 8:
            raise _invalid(
                name,
                f"its offsets {item.begin} to {item.end} are not the {bits} bits of its shape",
                tensor,
            )
        start = item.end
    if start != room:
        raise _invalid(name, f"its tensors have {start} bytes, the file has room for {room}")


def _bits(item: Tensor, name: str, tensor: str) -> int:
    """Multiply as the reference does: a product that 64 bits do not hold is an error."""
    product = 1
    for factor in (*item.shape, _BITS[item.dtype]):
        product *= factor
        if product > _LARGEST:
            raise _invalid(name, "its shape is larger than 64 bits can count", tensor)
    return product


def _invalid(name: str, why: str, tensor: str = "") -> ModelError:
    place = f"{name}, tensor '{tensor[:80]}'," if tensor else name
    return ModelError(
        f"{place} is broken: {why}. Fetch the model again, or ask its author.",
        "weights_invalid",
        path=name,
        tensor=tensor,
    )
