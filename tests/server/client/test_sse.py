# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Server-Sent Events, cut anywhere."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.client._sse import Event, EventParser, EventTooLarge


def parse(*chunks: bytes) -> list[Event]:
    parser = EventParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [Event("a")]),
        (b"data: a\r\n\r\n", [Event("a")]),
        (b"data: a\r\r", [Event("a")]),
        (b"data: a\n\r\n", [Event("a")]),
        (b"data:a\ndata:  b\n\n", [Event("a\n b")]),
        (b"data\n\n", [Event("")]),
        (b"data:\ndata:\n\n", [Event("\n")]),
        (b": a comment\n\ndata: a\n: another\n\n", [Event("a")]),
        (b"event: error\ndata: a\n\ndata: b\n\n", [Event("a", "error"), Event("b")]),
        (b"event: alone\n\ndata: a\n\n", [Event("a")]),
        (b"id: 1\nretry: 5\nunknown: x\ndata: a\n\n", [Event("a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [Event("a")]),
        (b"\n\xef\xbb\xbfdata: a\n\n", []),
        (b"data: \xff\n\n", [Event("\ufffd")]),
        ("data: a\u2028b\x0bc\x85d\n\n".encode(), [Event("a\u2028b\x0bc\x85d")]),
        (b"data: unfinished", []),
        (b"data: unfinished\n", []),
    ],
)
def test_streams(stream: bytes, events: list[Event]) -> None:
    assert parse(stream) == events
    assert parse(*(stream[at : at + 1] for at in range(len(stream)))) == events


def test_an_event_is_given_before_the_next_byte() -> None:
    parser = EventParser()
    assert list(parser.feed(b"data: a\r\n\r")) == [Event("a")]
    assert list(parser.feed(b"\ndata: b\r\n\r\n")) == [Event("b")]


def test_an_empty_chunk_changes_nothing() -> None:
    assert parse(b"data: a\r", b"", b"\n\r", b"", b"\n") == [Event("a")]


TEXT = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=8)
NEWLINE = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def written(draw: st.DrawFn) -> tuple[list[Event], bytes]:
    """Events, and one way to write them."""
    events, lines = [], []
    for _turn in range(draw(st.integers(0, 4))):
        name = draw(st.sampled_from(["", "error"]))
        data = draw(st.lists(TEXT, min_size=1, max_size=3))
        fields = [f"data: {line}" for line in data] + [f"event: {name}"] * bool(name)
        for field in fields:
            lines += [f":{draw(TEXT)}"] * draw(st.integers(0, 1)) + [field]
        lines.append("")
        events.append(Event("\n".join(data), name or "message"))
    # One kind of newline for all: a return and a line feed of two lines would be one newline.
    newline = draw(NEWLINE)
    return events, "".join(line + newline for line in lines).encode()


@given(written(), st.data())
def test_cuts_change_nothing(case: tuple[list[Event], bytes], data: st.DataObject) -> None:
    events, stream = case
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    edges = [0, *cuts, len(stream)]
    chunks = [stream[a:b] for a, b in itertools.pairwise(edges)]
    assert parse(*chunks) == events


@given(st.lists(st.binary(max_size=12), max_size=8))
def test_any_bytes_are_read_alike_whole_or_in_pieces(chunks: list[bytes]) -> None:
    assert parse(*chunks) == parse(b"".join(chunks))


@pytest.mark.parametrize("unit", [b"data: 123456789\n", b"x", b": comment\n"])
def test_an_event_without_end_is_refused(unit: bytes) -> None:
    parser = EventParser(max_bytes=100)
    with pytest.raises(EventTooLarge, match="more than 100 bytes"):
        for _turn in range(101):
            list(parser.feed(unit))


def test_many_small_events_are_not_one_large() -> None:
    parser = EventParser(max_bytes=100)
    assert sum(len(list(parser.feed(b"data: 0123456789\n\n"))) for _turn in range(100)) == 100
