# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The form of the audit log, and the check that nothing was taken out of it.

A line is one JSON object in canonical form: keys sorted, no blanks, ASCII. Its `hash` is
SHA-256(`previous` + the line without `hash`), `previous` is the hash of the line before, in hex.
Whoever may write the file can compute the chain anew from any line on; what gives them away is
the head (`seq` and `hash`) that the journal holds since then.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

GENESIS = "0" * 64

Damage = Literal["changed", "removed", "repeated", "reordered", "torn"]


class AuditError(Exception):
    """The audit log cannot be read or continued; the message says where and what to do."""


@dataclass(frozen=True)
class Head:
    """The end of a chain."""

    seq: int = 0
    hash: str = GENESIS

    @classmethod
    def parse(cls, text: str) -> Head:
        """Read SEQ:HASH; raise ValueError."""
        seq, _colon, digest = text.partition(":")
        if len(digest) != len(GENESIS):
            raise ValueError(f"{text!r} is not SEQ:HASH with 64 hex digits")
        return cls(int(seq), digest.lower())

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


@dataclass(frozen=True)
class Break:
    """The first line at which a chain is not whole."""

    file: Path
    line: int
    what: Damage
    detail: str

    def __str__(self) -> str:
        return f"{self.file}: line {self.line}: {self.what}: {self.detail}"


@dataclass(frozen=True)
class Chain:
    """What files hold: `first` is the number of the first line, 0 when there is none."""

    lines: int
    first: int
    head: Head
    damage: Break | None = None


def encode(head: Head, fields: dict[str, Any]) -> tuple[bytes, Head]:
    """Make the line after `head`; return it with the new head."""
    content = {**fields, "seq": head.seq + 1, "previous": head.hash}
    digest = _digest(head.hash, content)
    return _canonical({**content, "hash": digest}) + b"\n", Head(head.seq + 1, digest)


def decode(line: bytes) -> tuple[str, Head] | None:
    """Read one line; return `previous` and its head, or None when it is not as it was written."""
    try:
        content = json.loads(line)
        digest = content.pop("hash")
        previous, seq = content["previous"], content["seq"]
        whole = (
            isinstance(seq, int)
            and not isinstance(seq, bool)
            and _digest(previous, content) == digest
            and _canonical({**content, "hash": digest}) + b"\n" == line
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return (previous, Head(seq, digest)) if whole else None


def open_log(file: Path) -> io.BufferedIOBase:
    """Open a log for reading bytes, packed or not."""
    return gzip.open(file) if file.suffix == ".gz" else file.open("rb")


def verify(files: Sequence[Path], head: Head | None = None) -> Chain:
    """Read files, oldest first, and find the first break.

    The chain may begin later than with line 1, since old files are deleted some day. With a `head`
    of the journal a cut end is found as well. Raises AuditError when a file cannot be read.
    """
    chain = Head()
    first = count = 0
    seen = head is None
    damage: Break | None = None
    lines = _numbered(files)
    file, number = files[-1], 0
    for file, number, line in lines:
        found = decode(line)
        if found is None:
            damage = _unreadable(file, number, line)
            break
        previous, own = found
        if count and (own.seq, previous) != (chain.seq + 1, chain.hash):
            damage = Break(file, number, *_explain(chain, own, lines))
            break
        if not count and own.seq == 1 and previous != GENESIS:
            damage = Break(file, number, "changed", "line 1 must begin a chain")
            break
        chain, first, count = own, first or own.seq, count + 1
        seen = seen or own == head
    if damage is None and head is not None and not seen:
        damage = Break(file, number, *_missing(head, first, chain))
    return Chain(count, first, chain, damage)


def _digest(previous: str, content: dict[str, Any]) -> str:
    return hashlib.sha256(previous.encode() + _canonical(content)).hexdigest()


def _canonical(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _numbered(files: Iterable[Path]) -> Iterator[tuple[Path, int, bytes]]:
    for file in files:
        try:
            with open_log(file) as log:
                for number, line in enumerate(log, 1):
                    yield file, number, line
        except (OSError, EOFError, zlib.error) as error:
            raise AuditError(f"{file}: cannot be read: {error}") from error


def _unreadable(file: Path, number: int, line: bytes) -> Break:
    if not line.endswith(b"\n"):
        return Break(file, number, "torn", "the line has no end")
    return Break(file, number, "changed", "the line does not agree with its own hash")


def _explain(chain: Head, own: Head, rest: Iterator[tuple[Path, int, bytes]]) -> tuple[Damage, str]:
    """Say why a line that agrees with its own hash does not follow the one before."""
    wanted = chain.seq + 1
    if own == chain:
        return "repeated", f"line {own.seq} stands here twice"
    if own.seq < wanted:
        return "reordered", f"line {own.seq} follows line {chain.seq}"
    if own.seq == wanted:
        return "changed", f"its `previous` is not the hash of line {chain.seq}"
    later = (decode(line) for _file, _number, line in rest)
    if any(found is not None and found[1].seq == wanted for found in later):
        return "reordered", f"line {own.seq} follows line {chain.seq}; {wanted} comes later"
    return "removed", f"lines {wanted} to {own.seq - 1} are missing before it"


def _missing(head: Head, first: int, chain: Head) -> tuple[Damage, str]:
    if chain.seq < head.seq:
        return "removed", f"the log ends at {chain.seq}, but had come to {head.seq}"
    if head.seq < first:
        return "removed", f"the log begins at {first}, after the head {head.seq}"
    return "changed", f"line {head.seq} has another hash than the head"
