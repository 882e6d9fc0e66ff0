# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Heads of GGUF files: what agrees with the file passes, whatever else is refused."""

from __future__ import annotations

import struct

import pytest
from ansible_collections.modelops.serving.plugins.module_utils import _gguf
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._gguf import check_gguf
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    gguf,
    text,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

UINT8, UINT32, STRING, ARRAY, UINT64 = 0, 4, 8, 9, 10
F32, Q4_0, Q4_K = 0, 2, 12


def number(form, value):
    return struct.pack("<" + form, value)


def array(kind, count, data=b""):
    return struct.pack("<IQ", kind, count) + data


def aligned(value):
    return ("general.alignment", UINT32, number("I", value))


WHOLE = gguf(
    values=[
        ("general.architecture", STRING, text("llama")),
        aligned(64),
        ("tokens", ARRAY, array(STRING, 3, text("a") + text("") + text("中文"))),
        ("scores", ARRAY, array(6, 3, bytes(12))),
        ("nested", ARRAY, array(ARRAY, 2, array(UINT8, 1, b"x") + array(STRING, 1, text("y")))),
        ("size", UINT64, number("Q", 7)),
    ],
    tensors=[
        ("norm", [5], F32, 0),
        ("blocks", [64, 2], Q4_0, 64),
        ("k", [256, 1, 1, 1], Q4_K, 192),
        ("scalar", [], F32, 384),
        ("nothing", [0, 7], F32, 448),
    ],
    data=bytes(448),
    alignment=64,
)


@pytest.fixture
def check(tmp_path):
    """Check these bytes as a file."""

    def run(data):
        path = tmp_path / "x.gguf"
        path.write_bytes(data)
        check_gguf(str(path), "x.gguf")

    return run


def refused(check, data):
    with pytest.raises(ModelError) as caught:
        check(data)
    assert caught.value.code == "weights_invalid"
    assert caught.value.message.startswith("x.gguf")
    return caught.value


@pytest.mark.parametrize(
    "data",
    [
        WHOLE,
        gguf(),
        gguf(version=2),
        gguf(values=[("tokens", ARRAY, array(STRING, 1, text("a")))]),
        gguf(tensors=[("a", [3], F32, 0)], data=bytes(12)),
    ],
)
def test_files_that_agree_with_themselves_pass(check, data):
    check(data)


def tensor(*dimensions, kind=F32, offset=0, data=bytes(64), name="t"):
    return gguf(tensors=[(name, list(dimensions), kind, offset)], data=data)


def value(kind, data, key="k"):
    return gguf(values=[(key, kind, data)])


def deep(levels):
    return b"".join(array(ARRAY, 1) for _level in range(levels)) + array(UINT8, 0)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "in the middle of its magic"),
        (b"GGML" + bytes(20), "does not start with GGUF"),
        (gguf(version=1), "version is 1;"),
        (gguf(version=4), "version is 4;"),
        (gguf(version=3 << 24), "big-endian"),
        (gguf(counts=(2**63, 0)), "it has 9223372036854775808 tensors"),
        (gguf(counts=(0, 2**64 - 1)), "values, which cannot be"),
        (gguf(counts=(5, 0)), "it has 5 tensors, which cannot be"),
        (value(UINT8, b"x", key=""), "is empty or comes twice"),
        (gguf(values=[("a", UINT8, b"x")] * 2), "'a' is empty or comes twice"),
        (value(UINT8, b"x", key="k" * 65536), "at most 65535"),
        (value(13, bytes(8)), "unknown type 13"),
        (value(STRING, number("Q", 2**64 - 1)), "in the middle of the value of 'k'"),
        (value(ARRAY, array(UINT64, 2**30)), "in the middle of the array 'k'"),
        (value(ARRAY, array(UINT64, 2**61)), "too many elements"),
        (value(ARRAY, array(STRING, 2**29)), "too many elements"),
        (value(ARRAY, array(STRING, 900)), "in the middle of a length"),
        (value(ARRAY, array(99, 1, bytes(9))), "unknown type 99"),
        (value(ARRAY, deep(9)), "nested too deep"),
        (gguf(values=[aligned(0)]), "no power of two"),
        (gguf(values=[aligned(48)]), "no power of two"),
        (value(UINT64, number("Q", 32), key="general.alignment"), "no power of two"),
        (tensor(1, name="n" * 65), "at most 64"),
        (tensor(1, 1, 1, 1, 1), "5 dimensions"),
        (tensor(1, kind=4), "type 4 is unknown or no longer in use"),
        (tensor(1, kind=99), "type 99 is unknown"),
        (tensor(31, kind=Q4_0), "31 elements, no whole blocks"),
        (tensor(kind=Q4_0), "1 elements, no whole blocks"),
        (tensor(2**63), "63 bits"),
        (tensor(2**32, 2**32), "63 bits"),
        (tensor(2**40), "more than the file has"),
        (tensor(4, offset=32), "begins at 32, the one before it leaves off at 0"),
        (tensor(4, offset=2**64 - 32), "begins at 18446744073709551584"),
        (tensor(17, data=bytes(64)), "its tensors end at byte 132, the file has 128"),
        (gguf(tensors=[("a", [1], F32, 0)] * 2, data=bytes(64)), "'a' comes twice"),
        (
            gguf(tensors=[("a", [9], F32, 0), ("b", [1], F32, 32)], data=bytes(96)),
            "begins at 32, the one before it leaves off at 64",
        ),
        (
            gguf(tensors=[("a", [1], F32, 0), ("b", [1], F32, 4)], data=bytes(96)),
            "begins at 4, the one before it leaves off at 32",
        ),
    ],
)
def test_what_contradicts_the_file_is_refused(check, data, why):
    assert why in refused(check, data).message


def test_the_broken_tensor_is_named(check):
    error = refused(check, gguf(tensors=[("a", [1], F32, 0), ("b", [1], F32, 0)], data=bytes(64)))
    assert error.details == {"path": "x.gguf", "tensor": "b"}
    assert "tensor 'b'" in error.message


@pytest.mark.parametrize("end", range(0, len(WHOLE) - 448, 7))
def test_a_cut_file_is_refused(check, end):
    refused(check, WHOLE[:end])


def test_counts_have_limits(check, monkeypatch):
    monkeypatch.setattr(_gguf, "_MAX_STEPS", 2)
    assert "too many elements" in refused(check, WHOLE).message
    monkeypatch.setattr(_gguf, "_MAX_TENSORS", 4)
    assert "5 tensors" in refused(check, WHOLE).message


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changed_bytes_pass_or_are_refused(check, data):
    changed = bytearray(WHOLE)
    for place in data.draw(st.lists(st.integers(0, len(WHOLE) - 449), max_size=3)):
        changed[place] = data.draw(st.integers(0, 255))
    try:
        check(bytes(changed))
    except ModelError as error:
        assert error.code == "weights_invalid"


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from([F32, Q4_0]), st.integers(0, 6)),
        min_size=1,
        max_size=4,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_accepted_tensors_are_aligned_and_never_overlap(check, drawn):
    tensors = [(f"t{i}", [n], kind, 32 * at) for i, (n, kind, at) in enumerate(drawn)]
    file = gguf(tensors=tensors, data=bytes(512))
    try:
        check(file)
    except ModelError as error:
        assert error.code == "weights_invalid"
        return
    sizes = [n * 4 if kind == F32 else n // 32 * 18 for n, kind, _at in drawn]
    taken = [
        place
        for size, (_name, _shape, _kind, offset) in zip(sizes, tensors)
        for place in range(offset, offset + size)
    ]
    assert len(taken) == len(set(taken))
