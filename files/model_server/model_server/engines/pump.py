# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A computation that calls back, or that blocks, as an iterator that can be ended at any time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.1
_END_SECONDS = 5.0


def pump(
    produce: Callable[[Callable[[T], bool]], None],
    cancelled: Callable[[], bool],
    interrupt: Callable[[], None] = lambda: None,
) -> Generator[T]:
    """Run `produce` in a thread of its own and yield what it hands over.

    `produce` gets a function for each item, which answers True once nobody wants more.
    `interrupt` is called then, to wake it where it blocks. What it raises is raised here.
    """
    items: queue.SimpleQueue[T | None] = queue.SimpleQueue()
    ended = threading.Event()
    failure: list[Exception] = []

    def hand_over(item: T) -> bool:
        items.put(item)
        return ended.is_set() or cancelled()

    def work() -> None:
        try:
            produce(hand_over)
        except Exception as error:
            failure.append(error)
        finally:
            items.put(None)

    thread = threading.Thread(target=work, name="pump", daemon=True)
    thread.start()
    try:
        while True:
            try:
                item = items.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if cancelled():
                    return
                continue
            if item is None:
                break
            yield item
        if failure and not cancelled():
            raise failure[0]
    finally:
        ended.set()
        interrupt()
        thread.join(_END_SECONDS)
