# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the model server: each request gets four events at once, made from nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'
EVENTS = 4


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer as an event stream."""
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    return _events()


def _events() -> Iterator[bytes]:
    for _number in range(EVENTS):
        yield EVENT
