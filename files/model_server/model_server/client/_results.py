# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Answers that are more than a body: vectors with their space, and a chat's text."""

from __future__ import annotations

import array
import base64
import binascii
import sys
from dataclasses import dataclass, field

from ..types import ChatCompletion, Embedding, Usage


@dataclass(frozen=True)
class Embeddings:
    """Vectors in the order of the texts.

    `fingerprint` names their space (None when the service names none): store it beside an index,
    and hand it over as `expect_fingerprint` with each later call. `truncated` counts the texts
    that were cut at the model's token limit.
    """

    vectors: list[list[float]] = field(repr=False)
    model: str
    usage: Usage
    fingerprint: str | None
    truncated: int

    @property
    def dimensions(self) -> int:
        """Size of a vector."""
        return len(self.vectors[0])


class ChatAnswer(ChatCompletion):
    """A whole answer."""

    @property
    def text(self) -> str:
        """What the model said."""
        return self.choices[0].message.content

    @property
    def finish_reason(self) -> str:
        """`stop`, or `length` when the answer was cut at its limit."""
        return self.choices[0].finish_reason


def in_order(data: list[Embedding], count: int) -> list[list[float]]:
    """Decode vectors and order them by index; raise ValueError unless each text has one."""
    vectors = {item.index: _vector(item.embedding) for item in data}
    if sorted(vectors) != list(range(count)) or len(data) != count:
        raise ValueError(f"{len(data)} vectors for {count} texts")
    ordered = [vectors[index] for index in range(count)]
    if len({len(vector) for vector in ordered}) != 1 or not ordered[0]:
        raise ValueError("the vectors are not all of one size")
    return ordered


def _vector(embedding: list[float] | str) -> list[float]:
    if isinstance(embedding, list):
        return embedding
    numbers = array.array("f")
    try:
        numbers.frombytes(base64.b64decode(embedding, validate=True))
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"a vector is not float32 in base64: {error}") from error
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
