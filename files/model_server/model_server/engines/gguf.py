# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What the head of a GGUF file says about its model.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from .base import EngineStartFailed

_MAGIC = b"GGUF"
_NUMBERS = dict(enumerate(("B", "b", "H", "h", "I", "i", "f", "?"))) | {10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
# llama_token_type: control tokens are always markers, tokens added by the model's author may be.
_CONTROL, _USER_DEFINED = 3, 4


@dataclass(frozen=True)
class GgufHead:
    """The metadata of one file."""

    values: dict[str, Any]

    @property
    def context_length(self) -> int:
        """Tokens of prompt and answer for which the model was trained."""
        return int(self.values[f"{self.values['general.architecture']}.context_length"])

    @property
    def hidden_size(self) -> int:
        """Size of the model's states."""
        return int(self.values[f"{self.values['general.architecture']}.embedding_length"])

    @property
    def has_chat_template(self) -> bool:
        """Whether the file says how messages are joined to a prompt."""
        return bool(self.values.get("tokenizer.chat_template"))

    @property
    def markers(self) -> list[str]:
        """Texts of the tokens that mean something to the model beyond their letters."""
        tokens = self.values.get("tokenizer.ggml.tokens", [])
        kinds = self.values.get("tokenizer.ggml.token_type", [])
        return [
            token
            for token, kind in zip(tokens, kinds, strict=False)
            if kind == _CONTROL
            or (kind == _USER_DEFINED and token.startswith("<") and token.endswith(">"))
        ]


def read_gguf(file: Path) -> GgufHead:
    """Read the metadata; raise EngineStartFailed when the file is not a whole GGUF head."""
    try:
        with file.open("rb") as stream:
            if stream.read(len(_MAGIC)) != _MAGIC:
                raise EngineStartFailed(f"{file} is no GGUF file; fetch the model again")
            _version, _tensors, count = struct.unpack("<IQQ", stream.read(20))
            head = GgufHead(dict(_entry(stream) for _index in range(count)))
            _needed = head.context_length, head.hidden_size
    except (OSError, struct.error, KeyError, ValueError, MemoryError) as error:
        raise EngineStartFailed(f"{file} cannot be read: {error}; fetch the model again") from error
    return head


def _entry(stream: BinaryIO) -> tuple[str, Any]:
    key = _string(stream)
    return key, _value(stream, _number(stream, "I"))


def _value(stream: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(stream)
    if kind != _ARRAY:
        return _number(stream, _NUMBERS[kind])
    kind, count = _number(stream, "I"), _number(stream, "Q")
    if kind in _NUMBERS:
        layout = f"<{count}{_NUMBERS[kind]}"
        return struct.unpack(layout, stream.read(struct.calcsize(layout)))
    return [_value(stream, kind) for _index in range(count)]


def _string(stream: BinaryIO) -> str:
    return stream.read(_number(stream, "Q")).decode("utf-8", "replace")


def _number(stream: BinaryIO, layout: str) -> Any:
    layout = f"<{layout}"
    return struct.unpack(layout, stream.read(struct.calcsize(layout)))[0]
