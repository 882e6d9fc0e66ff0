# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Headers of safetensors: what agrees with the file is read, whatever else is refused."""

from __future__ import annotations

import json
import struct

import pytest
from ansible_collections.modelops.serving.plugins.module_utils import _safetensors
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._safetensors import (
    Tensor,
    check_safetensors,
    read_header,
)
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import safetensors
from hypothesis import given
from hypothesis import strategies as st


def one(begin=0, end=4, dtype="F32", shape=(1,), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end], **more}


def read(data):
    return read_header(data, "m.safetensors", len(data))


def test_tensors_in_any_order_and_of_any_type_are_read():
    header = {
        "__metadata__": {"format": "pt"},
        "b": one(4, 7, "F6_E2M3", [4]),
        "empty": one(4, 4, "I64", [3, 0]),
        "a": one(0, 4),
        "scalar": one(7, 8, "U8", []),
    }
    found = read(safetensors(header, bytes(8)))
    assert found["a"] == Tensor("F32", (1,), 0, 4)
    assert {name: item.elements for name, item in found.items()} == {
        "b": 4,
        "empty": 0,
        "a": 1,
        "scalar": 1,
    }
    assert read(safetensors(b"{}   ")) == {}


def twice(text):
    return json.dumps({"a": one(), "z": one()}).replace('"z"', text).encode()


@pytest.mark.parametrize(
    ("header", "data", "tensor", "why"),
    [
        (b"[]", b"", "", "does not start with '{'"),
        (b' {"a":1}', b"", "", "does not start with '{'"),
        (b'{"a":', b"", "", "not what the format asks for"),
        (b'{"\xff":1}', b"", "", "not what the format asks for"),
        (b'{"a":' + b"[" * 100_000, b"", "", "not what the format asks for"),
        (b'{"a":NaN}', b"", "", "NaN is no number"),
        (b'{"a":' + b"9" * 500_000 + b"}", b"", "", "out of range"),
        ({"__metadata__": {"a": 1}}, b"", "", "does not map text to text"),
        ({"__metadata__": []}, b"", "", "does not map text to text"),
        (one(), bytes(4), "", "one tensor"),
        ({"a": 1}, b"", "a", "needs a dtype"),
        ({"a": {"dtype": "F32", "shape": [1]}}, bytes(4), "a", "needs a dtype"),
        ({"a": one(dtype=1)}, bytes(4), "a", "needs a dtype"),
        ({"a": one(shape=[1.0])}, bytes(4), "a", "needs a dtype"),
        ({"a": one(shape=[True])}, bytes(4), "a", "needs a dtype"),
        ({"a": {**one(), "data_offsets": [0, 2, 4]}}, bytes(4), "a", "needs a dtype"),
        ({"a": one(-4, 0)}, bytes(4), "", "out of range"),
        ({"a": one(dtype="F33")}, bytes(4), "a", "'F33' is unknown"),
        ({"a": one(4, 0)}, bytes(4), "a", "follows a hole"),
        ({"a": one(0, 8)}, bytes(8), "a", "not the 32 bits of its shape"),
        ({"a": one(0, 1, "F4", [1])}, bytes(1), "a", "not the 4 bits of its shape"),
        ({"a": one(), "b": one(0, 4)}, bytes(4), "b", "overlaps"),
        ({"a": one(), "b": one(2, 6)}, bytes(6), "b", "overlaps"),
        ({"a": one(), "b": one(8, 12)}, bytes(12), "b", "follows a hole"),
        ({"a": one(shape=[2**63, 4])}, bytes(4), "a", "64 bits"),
        ({"a": one(shape=[2**40, 2**40, 0])}, bytes(4), "a", "64 bits"),
        ({"a": one()}, bytes(3), "", "have 4 bytes, the file has room for 3"),
        ({"a": one()}, bytes(5), "", "have 4 bytes, the file has room for 5"),
        (twice('"a"'), bytes(4), "", "'a' twice"),
        (twice('"\\u0061"'), bytes(4), "", "'a' twice"),
    ],
)
def test_what_contradicts_the_file_is_refused(header, data, tensor, why):
    with pytest.raises(ModelError) as caught:
        read(safetensors(header, data))
    assert caught.value.code == "weights_invalid"
    assert why in caught.value.message
    assert "m.safetensors" in caught.value.message
    assert caught.value.details["tensor"] == tensor


@pytest.mark.parametrize("data", [b"", b"1234567", struct.pack("<Q", 3) + b"{}", bytes(8)])
def test_a_length_that_the_file_does_not_have_is_refused(data, tmp_path):
    path = tmp_path / "m"
    path.write_bytes(data)
    with pytest.raises(ModelError, match="length makes no sense"):
        check_safetensors(str(path), "m")


def test_the_length_of_the_header_has_a_limit(tmp_path, monkeypatch):
    path = tmp_path / "m"
    path.write_bytes(safetensors({"a": one()}, bytes(4)))
    check_safetensors(str(path), "m")
    monkeypatch.setattr(_safetensors, "HEADER_BYTES", 20)
    with pytest.raises(ModelError, match="length makes no sense"):
        check_safetensors(str(path), "m")


OFFSETS = st.integers(-1, 20)
TENSORS = st.dictionaries(
    st.text(max_size=3),
    st.fixed_dictionaries(
        {
            "dtype": st.sampled_from(["U8", "F16", "F4", "X"]),
            "shape": st.lists(st.integers(-1, 4), max_size=2),
            "data_offsets": st.lists(OFFSETS, min_size=2, max_size=2),
        }
    ),
    max_size=4,
)


@given(TENSORS, st.integers(0, 20))
def test_accepted_tensors_fill_the_file_and_never_overlap(header, room):
    try:
        found = read(safetensors(header, bytes(room)))
    except ModelError as error:
        assert error.code == "weights_invalid"
        return
    taken = [place for item in found.values() for place in range(item.begin, item.end)]
    assert sorted(taken) == list(range(room))


@given(st.data())
def test_a_changed_byte_gives_tensors_or_a_refusal(data):
    whole = safetensors({"a": one(), "b": one(4, 8, "U8", [2, 2])}, bytes(8))
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[place] = data.draw(st.integers(0, 255))
    try:
        read(bytes(changed[: data.draw(st.integers(0, len(whole)))]))
    except ModelError as error:
        assert error.code == "weights_invalid"
