# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The batcher: nothing lost, nothing twice, order kept, budgets held, every future ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import FakeClock
from model_server.batching import Batcher, Entry, Job, plan_batches
from model_server.engines.base import EngineOutOfMemory
from model_server.errors import (
    DeadlineExceeded,
    Draining,
    InferenceFailed,
    NotReady,
    Overloaded,
    TooLarge,
)

BATCH, QUEUE, LATE = 64, 256, 1e9


@dataclass(frozen=True)
class Item:
    tokens: int
    value: int = 0


class Recorder:
    def __init__(self) -> None:
        self.batches: list[tuple[int, int]] = []
        self.drops: dict[str, int] = {}

    def queued(self, seconds: float) -> None:
        assert seconds >= 0

    def batch(self, items: int, tokens: int, seconds: float) -> None:
        self.batches.append((items, tokens))

    def dropped(self, reason: str, items: int) -> None:
        self.drops[reason] = self.drops.get(reason, 0) + items


class Lane:
    """A batcher whose computation can be held and made to fail."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.recorder = Recorder()
        self.deaths = 0
        self.calls: list[list[int]] = []
        self.fault: Callable[[Sequence[Item]], None] = lambda items: None
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.batcher: Batcher[Item, int] = Batcher(
            self.compute,
            max_batch_tokens=BATCH,
            max_queue_tokens=QUEUE,
            clock=self.clock,
            observer=self.recorder,
            on_death=self.count_death,
        )
        self.batcher.start()

    def compute(self, items: Sequence[Item]) -> list[int]:
        self.entered.set()
        assert self.gate.wait(timeout=30)
        self.calls.append([item.value for item in items])
        self.fault(items)
        return [item.value for item in items]

    def count_death(self) -> None:
        self.deaths += 1

    def hold(self) -> Job[int]:
        """Keep the thread busy with one job; what follows waits in the queue."""
        self.gate.clear()
        self.entered.clear()
        job = self.batcher.submit([Item(1, -1)], LATE)
        assert self.entered.wait(timeout=30)
        return job


@pytest.fixture
def lane() -> Iterator[Lane]:
    lane = Lane()
    yield lane
    lane.gate.set()
    lane.batcher.stop(timeout=30)


def result(job: Job[Any]) -> Any:
    return job.future.result(timeout=30)


def test_rows_come_back_in_the_order_of_the_items(lane: Lane) -> None:
    job = lane.batcher.submit([Item(3, 1), Item(60, 2), Item(9, 3)], LATE)
    assert result(job) == [1, 2, 3]


def test_requests_that_wait_are_computed_together(lane: Lane) -> None:
    lane.hold()
    jobs = [lane.batcher.submit([Item(4, value)], LATE) for value in range(5)]
    lane.gate.set()
    assert [result(job) for job in jobs] == [[0], [1], [2], [3], [4]]
    assert sorted(lane.calls[1]) == [0, 1, 2, 3, 4]
    assert jobs[0].batch_items == 5


def test_a_full_queue_refuses_at_once_and_whole(lane: Lane) -> None:
    lane.hold()
    kept = lane.batcher.submit([Item(64)] * 3, LATE)
    with pytest.raises(Overloaded) as caught:
        lane.batcher.submit([Item(64)] * 2, LATE)
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 1
    assert lane.batcher.queued_tokens == 192
    fits = lane.batcher.submit([Item(64)], LATE)
    lane.gate.set()
    assert result(kept) == [0, 0, 0]
    assert result(fits) == [0]


def test_what_never_fits_is_too_large_not_overload(lane: Lane) -> None:
    with pytest.raises(TooLarge):
        lane.batcher.submit([Item(64)] * 5, LATE)


def test_cancelled_work_makes_room(lane: Lane) -> None:
    lane.hold()
    dead = lane.batcher.submit([Item(64)] * 4, LATE)
    assert dead.future.cancel()
    alive = lane.batcher.submit([Item(64, 5)] * 4, LATE)
    lane.gate.set()
    assert result(alive) == [5, 5, 5, 5]
    assert lane.recorder.drops == {"cancelled": 4}
    assert sum(0 in call for call in lane.calls) == 0


def test_expired_work_is_not_computed(lane: Lane) -> None:
    lane.hold()
    job = lane.batcher.submit([Item(4, 7)], deadline=10)
    lane.clock.advance(11)
    lane.gate.set()
    with pytest.raises(DeadlineExceeded):
        result(job)
    assert [7] not in lane.calls
    assert lane.recorder.drops == {"expired": 1}


def test_one_bad_input_fails_its_own_request_only(lane: Lane) -> None:
    def poison(items: Sequence[Item]) -> None:
        if any(item.value == 13 for item in items):
            raise RuntimeError("poison")

    lane.fault = poison
    lane.hold()
    good = lane.batcher.submit([Item(4, 1), Item(4, 2)], LATE)
    bad = lane.batcher.submit([Item(4, 3), Item(4, 13)], LATE)
    lane.gate.set()
    assert result(good) == [1, 2]
    with pytest.raises(InferenceFailed):
        result(bad)
    assert lane.calls.count([13]) == 1, "a bad input is tried alone, once"
    assert lane.batcher.alive


def test_out_of_memory_halves_the_batch(lane: Lane) -> None:
    def small(items: Sequence[Item]) -> None:
        if len(items) > 2:
            raise EngineOutOfMemory("too many")

    lane.fault = small
    lane.hold()
    job = lane.batcher.submit([Item(4, value) for value in range(8)], LATE)
    lane.gate.set()
    assert result(job) == list(range(8))
    assert [len(call) for call in lane.calls[1:]] == [8, 4, 2, 2, 4, 2, 2]


def test_a_wrong_number_of_rows_is_a_failure(lane: Lane, monkeypatch: Any) -> None:
    monkeypatch.setattr(lane.batcher, "_compute", lambda items: [])
    with pytest.raises(InferenceFailed):
        result(lane.batcher.submit([Item(4)], LATE))


def test_the_death_of_the_thread_ends_every_future(lane: Lane) -> None:
    def die(items: Sequence[Item]) -> None:
        if any(item.value == 13 for item in items):
            raise SystemExit("die")

    lane.fault = die
    lane.hold()
    computed = lane.batcher.submit([Item(60, 13)], LATE)
    waiting = lane.batcher.submit([Item(60, 1)], LATE)
    lane.gate.set()
    for job in (computed, waiting):
        with pytest.raises(NotReady):
            result(job)
    lane.batcher._thread.join(timeout=30)
    assert not lane.batcher.alive
    assert lane.deaths == 1
    with pytest.raises(NotReady):
        lane.batcher.submit([Item(1)], LATE)


def test_stopping_finishes_what_was_admitted(lane: Lane) -> None:
    lane.hold()
    job = lane.batcher.submit([Item(4, 9)], LATE)
    stopper = threading.Thread(target=lane.batcher.stop, args=(30,))
    stopper.start()
    while True:
        try:
            lane.batcher.submit([Item(1)], LATE)
        except Draining:
            break
    lane.gate.set()
    stopper.join(timeout=30)
    assert result(job) == [9]
    assert lane.deaths == 0


def test_stopping_in_too_little_time_fails_the_rest(lane: Lane) -> None:
    lane.hold()
    job = lane.batcher.submit([Item(4, 9)], LATE)
    lane.batcher.stop(timeout=0)
    with pytest.raises(Draining):
        result(job)


lengths = st.lists(st.integers(1, BATCH), min_size=1, max_size=60)


@given(lengths)
def test_batches_hold_each_input_once_within_the_budget(tokens: list[int]) -> None:
    job: Job[int] = Job(LATE, 0, [None] * len(tokens), len(tokens))
    entries = [Entry(job, index, Item(count, index)) for index, count in enumerate(tokens)]
    batches = plan_batches(entries, BATCH)
    assert sorted(entry.index for batch in batches for entry in batch) == list(range(len(tokens)))
    for batch in batches:
        sizes = [entry.item.tokens for entry in batch]
        assert sizes == sorted(sizes, reverse=True)
        assert max(sizes) * len(sizes) <= BATCH
        assert max(sizes) * len(sizes) <= 2 * sum(sizes)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(lengths, st.sampled_from(["keep", "cancel", "poison"])), max_size=8))
def test_every_admitted_request_ends_with_its_own_rows(
    requests: list[tuple[list[int], str]],
) -> None:
    lane = Lane()

    def poison(items: Sequence[Item]) -> None:
        if any(item.value < 0 for item in items):
            raise RuntimeError("poison")

    lane.hold()
    lane.fault = poison
    admitted = []
    value = 0
    for tokens, fate in requests:
        items = [Item(count, value + index) for index, count in enumerate(tokens)]
        value += len(items)
        if fate == "poison":
            items[-1] = Item(tokens[-1], -1)
        try:
            job = lane.batcher.submit(items, LATE)
        except (Overloaded, TooLarge):
            continue
        assert lane.batcher.queued_tokens <= QUEUE
        if fate == "cancel":
            job.future.cancel()
        admitted.append((job, items, fate))
    lane.fault = poison
    lane.gate.set()
    lane.batcher.stop(timeout=30)
    for job, items, fate in admitted:
        assert job.future.done()
        if fate == "keep":
            assert result(job) == [item.value for item in items]
        elif fate == "poison":
            assert isinstance(job.future.exception(), InferenceFailed)
    assert lane.batcher.queued_tokens == 0
    assert lane.deaths == 0


def test_an_urgent_request_goes_before_all_that_wait(lane: Lane) -> None:
    lane.hold()
    waiting = [lane.batcher.submit([Item(60, value)], LATE) for value in range(3)]
    urgent = lane.batcher.submit([Item(60, 8), Item(60, 9)], LATE, urgent=True)
    lane.gate.set()
    assert result(urgent) == [8, 9]
    assert [result(job) for job in waiting] == [[0], [1], [2]]
    assert lane.calls == [[-1], [8], [9], [0], [1], [2]]


def test_a_full_queue_admits_an_urgent_request(lane: Lane) -> None:
    lane.hold()
    waiting = [lane.batcher.submit([Item(64, value)], LATE) for value in range(QUEUE // 64)]
    with pytest.raises(Overloaded):
        lane.batcher.submit([Item(1)], LATE)
    urgent = lane.batcher.submit([Item(2, 9)], LATE, urgent=True)
    assert lane.batcher.queued_tokens == QUEUE + 2
    lane.gate.set()
    assert result(urgent) == [9]
    assert [result(job) for job in waiting] == [[0], [1], [2], [3]]
    assert lane.calls[1] == [9]
    assert lane.batcher.queued_tokens == 0


def test_an_urgent_request_is_refused_by_a_stopping_or_dead_batcher(lane: Lane) -> None:
    lane.batcher.stop(timeout=30)
    with pytest.raises((Draining, NotReady)):
        lane.batcher.submit([Item(1)], LATE, urgent=True)
