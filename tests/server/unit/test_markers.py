# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Markers of a template in what clients write."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from model_server.engines.base import Message
from model_server.engines.markers import Markers

MARKERS = ["<|im_start|>", "<|im_end|>", "<s>", "[INST]", "ab", "bc"]


@given(st.lists(st.sampled_from([*MARKERS, "a", "<", "|im_end|>", "你"]), max_size=12))
def test_no_marker_is_left_and_no_letter_is_lost(parts: list[str]) -> None:
    text = "".join(parts)
    divided = Markers(MARKERS).divide(text)
    assert not [marker for marker in MARKERS if marker in divided]
    assert divided.replace("\u200b", "") == text


def test_other_text_is_left_alone() -> None:
    assert Markers(MARKERS).divide("1 < 2, <|x|>, 你好") == "1 < 2, <|x|>, 你好"
    assert Markers([]).divide("<s>") == "<s>"


def test_every_message_is_divided() -> None:
    roles = ("system", "user", "assistant")
    messages = [Message(role, "<s>") for role in roles]
    assert Markers(["<s>"]).conversation(messages) == [
        {"role": role, "content": "<\u200bs>"} for role in roles
    ]
