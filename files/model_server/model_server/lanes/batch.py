# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Requests that are computed together: the task's items go through the batcher."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

from ..batching import Batcher, Job
from ..errors import DeadlineExceeded, Overloaded, TooLarge
from ..metrics import Metrics
from ..settings import Settings
from ..tasks.base import BatchTask
from .base import Lane, Timing


class BatchLane(Lane):
    """Admission, deadline and batching for one batch task."""

    def __init__(
        self,
        task: BatchTask[Any, Any, Any, Any],
        settings: Settings,
        *,
        clock: Callable[[], float],
        metrics: Metrics,
        on_death: Callable[[], None],
    ) -> None:
        self._task = task
        self._limits = settings.limits
        self._max_batch_tokens = settings.batching.max_batch_tokens
        self._clock = clock
        self._metrics = metrics
        self._places = threading.BoundedSemaphore(settings.limits.concurrent_requests)
        self._batcher: Batcher[Any, Any] = Batcher(
            task.compute,
            max_batch_tokens=settings.batching.max_batch_tokens,
            max_queue_tokens=settings.batching.max_queue_tokens,
            clock=clock,
            observer=metrics,
            on_death=on_death,
        )

    @property
    def alive(self) -> bool:
        """Whether the batcher's thread lives."""
        return self._batcher.alive

    @property
    def queued_tokens(self) -> int:
        """Tokens that wait."""
        return self._batcher.queued_tokens

    def start(self) -> None:
        """Warm up and start the batcher's thread."""
        self._task.warm_up(self._max_batch_tokens)
        self._batcher.start()

    def run(self, request: Any, inputs: int) -> tuple[Any, Timing]:
        """Answer a request of that many inputs within its time, or raise a ServiceError."""
        if inputs > self._limits.inputs_per_request:
            raise TooLarge(
                f"{inputs} inputs were sent; one request may have "
                f"{self._limits.inputs_per_request}.",
                param="input",
            )
        if not self._places.acquire(blocking=False):
            raise Overloaded(
                "Too many requests are in work; send the request again later.", retry_after=1
            )
        try:
            return self._compute(request, self._limits.request_timeout_seconds)
        finally:
            self._places.release()

    def try_canary(self, timeout: float) -> None:
        """Compute the task's canary before all that wait, and judge it."""
        self._task.verify(self._compute(self._task.canary, timeout, urgent=True)[0])

    def stop(self, timeout: float) -> None:
        """Finish admitted work within `timeout` seconds and refuse the rest."""
        self._batcher.stop(timeout)

    def _compute(self, request: Any, timeout: float, *, urgent: bool = False) -> tuple[Any, Timing]:
        deadline = self._clock() + timeout
        items = self._task.prepare(request)
        job: Job[Any] = self._batcher.submit(items, deadline, urgent=urgent)
        try:
            rows = job.future.result(timeout=max(0.0, deadline - self._clock()))
        except (TimeoutError, CancelledError) as error:
            job.future.cancel()
            raise DeadlineExceeded(
                f"No answer within {timeout:g} s; send fewer or shorter inputs."
            ) from error
        result = self._task.finish(request, items, rows)
        self._metrics.truncated(sum(item.truncated for item in items))
        return result, Timing(job.queue_seconds or 0.0, job.inference_seconds, job.batch_items)
