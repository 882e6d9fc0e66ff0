# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""`verify-audit` finds every line that was taken out, changed, moved or doubled."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.__main__ import main
from model_server.security.audit_chain import Head, encode, verify

COUNT = 12


def chain(count: int = COUNT) -> tuple[list[bytes], list[Head]]:
    lines, heads, head = [], [], Head()
    for number in range(count):
        line, head = encode(head, {"kind": "request", "route": "/predict", "tokens": number})
        lines.append(line)
        heads.append(head)
    return lines, heads


LINES, HEADS = chain()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit") / "audit.jsonl"


def what(file: Path, lines: list[bytes], head: Head | None = None) -> tuple[int, str] | None:
    file.write_bytes(b"".join(lines))
    damage = verify([file], head).damage
    return None if damage is None else (damage.line, damage.what)


@given(st.integers(1, COUNT - 2))
def test_a_removed_line_is_found(file: Path, index: int) -> None:
    left = LINES[:index] + LINES[index + 1 :]
    assert what(file, left) == (index + 1, "removed")


@given(st.integers(0, COUNT - 1), st.data())
def test_a_changed_byte_is_found(file: Path, index: int, data: st.DataObject) -> None:
    line = bytearray(LINES[index])
    position = data.draw(st.integers(0, len(line) - 2))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != line[position]))
    line[position] = byte
    found = what(file, [*LINES[:index], bytes(line), *LINES[index + 1 :]])
    assert found == (index + 1, "changed")


@given(st.integers(0, COUNT - 1), st.integers(0, COUNT - 1))
def test_swapped_lines_are_found(file: Path, one: int, other: int) -> None:
    lines = list(LINES)
    lines[one], lines[other] = lines[other], lines[one]
    found = what(file, lines)
    if one == other:
        assert found is None
    else:
        assert found is not None
        # With the first line away the chain seems to begin later: the break is one line on.
        assert found == (max(min(one, other) + 1, 2), "reordered")


@given(st.integers(0, COUNT - 1), st.integers(0, COUNT))
def test_a_doubled_line_is_found(file: Path, index: int, place: int) -> None:
    found = what(file, [*LINES[:place], LINES[index], *LINES[place:]])
    assert found is not None
    assert found[1] in ("repeated", "reordered")


@given(st.integers(1, COUNT - 2))
def test_a_line_with_a_hash_computed_anew_is_found(file: Path, index: int) -> None:
    forged, _head = encode(HEADS[index - 1], {"kind": "request", "tokens": 999})
    found = what(file, [*LINES[:index], forged, *LINES[index + 1 :]])
    assert found == (index + 2, "changed")


@given(st.integers(0, COUNT - 1))
def test_a_cut_end_is_found_with_the_head(file: Path, left: int) -> None:
    cut = LINES[:left]
    assert what(file, cut) is None
    assert what(file, cut, HEADS[-1]) == (left, "removed")
    assert what(file, LINES, HEADS[left]) is None, "the log may have gone on since"


def test_an_end_that_was_written_anew_is_found_with_the_head(file: Path) -> None:
    forged, _head = encode(HEADS[-2], {"kind": "request", "tokens": 999})
    lines = [*LINES[:-1], forged]
    assert what(file, lines) is None
    assert what(file, lines, HEADS[-1]) == (COUNT, "changed")


def test_a_removed_beginning_is_found_with_an_early_head(file: Path) -> None:
    assert what(file, LINES[3:], HEADS[1]) == (COUNT - 3, "removed")


@pytest.mark.parametrize("cut", [1, 20])
def test_a_torn_end_is_found(file: Path, cut: int) -> None:
    assert what(file, [*LINES[:-1], LINES[-1][:-cut]]) == (COUNT, "torn")


@given(st.binary(max_size=200))
def test_anything_can_be_read(file: Path, junk: bytes) -> None:
    file.write_bytes(junk)
    assert (verify([file]).damage is None) == (junk == b"")


def test_the_command_says_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed, current = tmp_path / "audit.jsonl.1.gz", tmp_path / "audit.jsonl"
    packed.write_bytes(gzip.compress(b"".join(LINES[:5])))
    current.write_bytes(b"".join(LINES[5:]))
    files = [str(packed), str(current)]
    assert main(["verify-audit", *files, "--head", str(HEADS[7])]) == 0
    assert capsys.readouterr().out == f"12 lines from 1 on, chain whole, head {HEADS[-1]}\n"

    assert main(["verify-audit", *reversed(files)]) == 1
    assert f"{packed}: line 1: reordered" in capsys.readouterr().err

    current.write_bytes(b"".join(LINES[6:]))
    assert main(["verify-audit", *files]) == 1
    answer = f"{current}: line 1: removed: lines 6 to 6 are missing before it\n"
    assert capsys.readouterr().err == answer


def test_the_command_needs_files_that_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "audit.gz"
    broken.write_bytes(gzip.compress(b"".join(LINES))[:-20])
    for file in (broken, tmp_path / "nowhere"):
        assert main(["verify-audit", str(file)]) == 1
        assert f"{file}: cannot be read" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["verify-audit", str(broken), "--head", "nonsense"])


def test_the_form_of_a_line_can_be_checked_without_this_program() -> None:
    import hashlib

    content = json.loads(LINES[1])
    digest = content.pop("hash")
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256((content["previous"] + canonical).encode()).hexdigest() == digest
