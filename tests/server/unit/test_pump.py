# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A producer in a thread of its own, as an iterator."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from model_server.engines.pump import pump


def never() -> bool:
    return False


def test_items_come_in_order_and_the_thread_ends() -> None:
    def produce(hand_over: Callable[[int], bool]) -> None:
        for number in range(5):
            hand_over(number)

    assert list(pump(produce, never)) == [0, 1, 2, 3, 4]
    assert not [thread for thread in threading.enumerate() if thread.name == "pump"]


def test_a_failure_comes_after_the_items() -> None:
    def produce(hand_over: Callable[[int], bool]) -> None:
        hand_over(1)
        raise KeyError("told to")

    items = pump(produce, never)
    assert next(items) == 1
    with pytest.raises(KeyError, match="told to"):
        next(items)


def test_closing_tells_the_producer_to_end() -> None:
    ended = threading.Event()

    def produce(hand_over: Callable[[int], bool]) -> None:
        while not hand_over(1):
            time.sleep(0.01)
        ended.set()

    items = pump(produce, never)
    next(items)
    items.close()
    assert ended.is_set()


def test_a_producer_that_blocks_is_interrupted() -> None:
    cut = threading.Event()
    cancelled = threading.Event()

    def produce(hand_over: Callable[[int], bool]) -> None:
        assert cut.wait(10)
        raise OSError("cut")

    started = time.monotonic()
    threading.Timer(0.1, cancelled.set).start()
    assert list(pump(produce, cancelled.is_set, cut.set)) == []
    assert time.monotonic() - started < 1
