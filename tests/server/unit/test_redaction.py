# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What is masked, what is left, and that no text makes it slow."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.security.redaction import mask

LIMIT = 2000


def wide(text: str) -> str:
    """The text in full-width characters."""
    return "".join(chr(ord(character) + 0xFEE0) for character in text)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("call 13800138000 now", "call [phone] now"),
        ("我的手机号是13800138000,谢谢", "我的手机号是[phone],谢谢"),
        ("+86 138-0013-8000", "[phone]"),
        ("8613800138000", "[phone]"),
        (wide("13800138000"), "[phone]"),
        ("138\u200b0013\u200b8000", "[phone]"),
        ("①③⑧⓪⓪①③⑧⓪⓪⓪", "[phone]"),
        ("+44 20 7946 0958 or +1 (415) 555-2671", "[phone] or [phone]"),
        ("010-62345678", "[phone]"),
        ("13800138000 13900139000", "[phone] [phone]"),
        ("身份证11010519491231002X。", "身份证[identity]。"),
        ("身份证" + wide("11010519491231002x"), "身份证[identity]"),
        ("110105 19491231 0021", "[identity]"),
        ("old card 110105491231002", "old card [identity]"),
        ("邮箱wang.wei+x@mail.example.com.cn!", "邮箱[email]!"),
        (wide("wang@example.com"), "[email]"),
        ("密钥sk-proj-abcdefgh12345678", "密钥[key]"),
        ("Authorization: Bearer abc.def-123", "Authorization: [key]"),
        ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "[key]"),
        ("AKIAIOSFODNN7EXAMPLE", "[key]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl", "[key]"),
        ("d41d8cd98f00b204e9800998ecf8427e", "[key]"),
        ("aGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8xMjM=", "[key]"),
        ("card 4111 1111 1111 1111.", "card [card]."),
        ("卡号6222021234567890128", "卡号[card]"),
    ],
)
def test_what_identifies_is_masked(text: str, masked: str) -> None:
    assert mask(text, LIMIT) == masked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the year 2026, 3.14159265358979 and 42",
        "order 1234567890",
        "card 4111 1111 1111 1112",
        "a@b is no address",
        "supercalifragilisticexpialidociousword",
        "模型服务很好用",
        "12800138000",
    ],
)
def test_the_rest_is_left(text: str) -> None:
    assert mask(text, LIMIT) == text


def test_a_long_text_is_cut() -> None:
    assert mask("啊" * 3000, 10) == "啊" * 10 + "…"
    assert mask("啊" * 10, 10) == "啊" * 10


@given(st.integers(0, 30))
def test_no_part_of_a_number_is_left_at_the_cut(before: int) -> None:
    masked = mask("-" * before + " 13800138000 and more", 20)
    assert not any(character.isdigit() for character in masked)


@given(st.text())
def test_any_text_can_be_masked(text: str) -> None:
    assert len(mask(text, 50)) < 50 * 20


@pytest.mark.parametrize("piece", ["a", "1", "@", "a@", "+", "1 ", "a.", "sk-", "eyJ.", "Bearer "])
def test_a_megabyte_of_anything_takes_no_time(piece: str) -> None:
    started = time.monotonic()
    mask(piece * (2**20 // len(piece)), LIMIT)
    assert time.monotonic() - started < 1
