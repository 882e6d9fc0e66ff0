# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""One thread computes for all requests; batches form while it is busy.

Rules: a request is admitted whole or refused at once, by tokens; an idle engine waits for
nobody; requests leave the queue first in, first out, and the inputs of one window are sorted by
length; cancelled and expired work is thrown away before computation; a failed batch is computed
once more input by input, so that one bad input fails its own request only; every future ends.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import structlog

from .engines.base import EngineOutOfMemory, InvalidOutput
from .errors import (
    DeadlineExceeded,
    Draining,
    InferenceFailed,
    NotReady,
    Overloaded,
    ServiceError,
    TooLarge,
)

_log = structlog.get_logger(__name__)

_RETRY_AFTER_BOUNDS = (1, 60)
_RATE_MEMORY = 0.8


class Sized(Protocol):
    """An input that knows its number of tokens."""

    @property
    def tokens(self) -> int:
        """Tokens to compute."""


class Observer(Protocol):
    """Who is told what the batcher does; see `metrics.Metrics`."""

    def queued(self, seconds: float) -> None:
        """One request waited this long."""

    def batch(self, items: int, tokens: int, seconds: float) -> None:
        """One batch was computed."""

    def dropped(self, reason: str, items: int) -> None:
        """Inputs were thrown away; reason is `cancelled` or `expired`."""


ItemT = TypeVar("ItemT", bound=Sized)
RowT = TypeVar("RowT")


@dataclass(eq=False)
class Job(Generic[RowT]):
    """One admitted request. Times are of the batcher's clock, durations in seconds."""

    deadline: float
    submitted: float
    rows: list[RowT | None]
    remaining: int
    future: Future[list[RowT]] = field(default_factory=Future)
    queue_seconds: float | None = None
    inference_seconds: float = 0.0
    batch_items: int = 0

    def fail(self, error: ServiceError) -> None:
        """End the request with an error, unless it has ended already."""
        with contextlib.suppress(InvalidStateError):
            self.future.set_exception(error)

    def answer(self, index: int, row: RowT) -> None:
        """Take the row of one input; the last one ends the request."""
        self.rows[index] = row
        self.remaining -= 1
        if self.remaining == 0:
            with contextlib.suppress(InvalidStateError):
                self.future.set_result([row for row in self.rows if row is not None])


@dataclass(eq=False)
class Entry(Generic[ItemT, RowT]):
    """One input of a job."""

    job: Job[RowT]
    index: int
    item: ItemT


def plan_batches(
    entries: Sequence[Entry[ItemT, RowT]], max_batch_tokens: int
) -> list[list[Entry[ItemT, RowT]]]:
    """Sort by length and cut into batches.

    A batch costs its longest input times its rows. It stays within `max_batch_tokens`, and no
    more than half of it is padding.
    """
    batches: list[list[Entry[ItemT, RowT]]] = []
    longest = text = 0
    for entry in sorted(entries, key=lambda entry: entry.item.tokens, reverse=True):
        tokens = entry.item.tokens
        padded = longest * (len(batches[-1]) + 1) if batches else 0
        if not batches or padded > max_batch_tokens or padded > 2 * (text + tokens):
            batches.append([])
            longest, text = tokens, 0
        batches[-1].append(entry)
        text += tokens
    return batches


class Batcher(Generic[ItemT, RowT]):
    """The queue and its thread.

    `compute` turns items into as many rows. `on_death` is called when the thread ends by
    anything else than `stop`; nothing is admitted after that.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[ItemT]], Sequence[RowT]],
        *,
        max_batch_tokens: int,
        max_queue_tokens: int,
        clock: Callable[[], float],
        observer: Observer,
        on_death: Callable[[], None],
    ) -> None:
        self._compute = compute
        self._max_batch_tokens = max_batch_tokens
        self._max_queue_tokens = max_queue_tokens
        self._clock = clock
        self._observer = observer
        self._on_death = on_death
        self._condition = threading.Condition()
        self._queue: deque[Entry[ItemT, RowT]] = deque()
        self._queued_tokens = 0
        self._tokens_per_second = 0.0
        self._stopping = False
        self._dead = False
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether requests can be computed."""
        return self._thread.is_alive() and not self._dead

    @property
    def queued_tokens(self) -> int:
        """Tokens that wait."""
        return self._queued_tokens

    def start(self) -> None:
        """Start the thread; after the fork, never before."""
        self._thread.start()

    def submit(self, items: Sequence[ItemT], deadline: float, *, urgent: bool = False) -> Job[RowT]:
        """Admit a request whole, or raise TooLarge, Overloaded, Draining or NotReady.

        An urgent one (the canary) goes before all that wait, and a full queue admits it.
        """
        tokens = sum(item.tokens for item in items)
        if tokens > self._max_queue_tokens:
            raise TooLarge(
                f"The inputs have {tokens} tokens; one request may have "
                f"{self._max_queue_tokens}. Send them in several requests."
            )
        job: Job[RowT] = Job(deadline, self._clock(), [None] * len(items), len(items))
        with self._condition:
            if self._dead:
                raise NotReady("The engine has stopped; the process restarts.", retry_after=5)
            if self._stopping:
                raise Draining("The server is stopping; send the request again.", retry_after=1)
            if self._queued_tokens + tokens > self._max_queue_tokens:
                self._purge()
            if self._queued_tokens + tokens > self._max_queue_tokens and not urgent:
                raise Overloaded(
                    "Too much work is waiting; send the request again later.",
                    retry_after=self._retry_after(),
                )
            entries = [Entry(job, index, item) for index, item in enumerate(items)]
            if urgent:
                self._queue.extendleft(reversed(entries))
            else:
                self._queue.extend(entries)
            self._queued_tokens += tokens
            self._condition.notify()
        return job

    def stop(self, timeout: float) -> None:
        """Finish what was admitted within `timeout` seconds, fail the rest and end."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        self._fail_queue(Draining("The server stopped before this request.", retry_after=1))

    def _run(self) -> None:
        window: list[Entry[ItemT, RowT]] = []
        try:
            while window := self._take():
                for batch in plan_batches(window, self._max_batch_tokens):
                    self._compute_batch(batch)
        except BaseException as error:
            _log.critical("batcher_died", exc_info=error)
        finally:
            with self._condition:
                self._dead = True
                stopped = self._stopping and not window
            if not stopped:
                failure = NotReady("The engine has stopped; the process restarts.", retry_after=5)
                for entry in window:
                    entry.job.fail(failure)
                self._fail_queue(failure)
                self._on_death()

    def _take(self) -> list[Entry[ItemT, RowT]]:
        """Wait for work and take the oldest inputs; an empty list means stop."""
        with self._condition:
            while True:
                self._purge()
                if self._queue:
                    break
                if self._stopping:
                    return []
                self._condition.wait()
            window = [self._pop()]
            budget = self._max_batch_tokens - window[0].item.tokens
            while self._queue and self._queue[0].item.tokens <= budget:
                window.append(self._pop())
                budget -= window[-1].item.tokens
        now = self._clock()
        for job in {entry.job for entry in window}:
            if job.queue_seconds is None:
                job.queue_seconds = now - job.submitted
                self._observer.queued(job.queue_seconds)
        return window

    def _pop(self) -> Entry[ItemT, RowT]:
        entry = self._queue.popleft()
        self._queued_tokens -= entry.item.tokens
        return entry

    def _purge(self) -> None:
        """Throw away the waiting inputs of requests that have ended or expired."""
        now = self._clock()
        dropped = {"cancelled": 0, "expired": 0}
        expired: set[Job[RowT]] = set()
        kept: deque[Entry[ItemT, RowT]] = deque()
        for entry in self._queue:
            if entry.job.future.done():
                dropped["cancelled"] += 1
            elif now >= entry.job.deadline:
                dropped["expired"] += 1
                expired.add(entry.job)
            else:
                kept.append(entry)
                continue
            self._queued_tokens -= entry.item.tokens
        self._queue = kept
        for job in expired:
            job.fail(DeadlineExceeded("The request waited longer than its time."))
        for reason, items in dropped.items():
            if items:
                self._observer.dropped(reason, items)

    def _compute_batch(self, batch: Sequence[Entry[ItemT, RowT]]) -> None:
        """Compute a batch; on failure halve it (memory) or go on input by input, once."""
        batch = [entry for entry in batch if not entry.job.future.done()]
        if not batch:
            return
        started = self._clock()
        try:
            rows = self._compute([entry.item for entry in batch])
            if len(rows) != len(batch):
                raise InvalidOutput(f"{len(rows)} rows for {len(batch)} inputs")
        except Exception as error:
            self._recover(batch, error)
            return
        seconds = self._clock() - started
        self._observe(batch, seconds)
        for entry, row in zip(batch, rows, strict=True):
            entry.job.answer(entry.index, row)

    def _recover(self, batch: Sequence[Entry[ItemT, RowT]], error: Exception) -> None:
        _log.error("batch_failed", items=len(batch), exc_info=error)
        if len(batch) == 1:
            failure = InferenceFailed("The model could not compute this input.")
            failure.__cause__ = error
            batch[0].job.fail(failure)
            return
        step = math.ceil(len(batch) / 2) if isinstance(error, EngineOutOfMemory) else 1
        for start in range(0, len(batch), step):
            self._compute_batch(batch[start : start + step])

    def _observe(self, batch: Sequence[Entry[ItemT, RowT]], seconds: float) -> None:
        tokens = sum(entry.item.tokens for entry in batch)
        self._observer.batch(len(batch), tokens, seconds)
        for job in {entry.job for entry in batch}:
            job.inference_seconds += seconds
            job.batch_items = max(job.batch_items, len(batch))
        if seconds > 0:
            rate = tokens / seconds
            before = self._tokens_per_second or rate
            self._tokens_per_second = _RATE_MEMORY * before + (1 - _RATE_MEMORY) * rate

    def _retry_after(self) -> int:
        low, high = _RETRY_AFTER_BOUNDS
        if not self._tokens_per_second:
            return low
        return min(high, max(low, math.ceil(self._queued_tokens / self._tokens_per_second)))

    def _fail_queue(self, error: ServiceError) -> None:
        with self._condition:
            entries = list(self._queue)
            self._queue.clear()
            self._queued_tokens = 0
        for entry in entries:
            entry.job.fail(error)
