# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Answers of a chat: each is generated in one of the engine's places, the others wait.

Rules: what waits is bounded, beyond that the answer is Overloaded at once; a place is held by the
computation only, never by a client that reads slowly; a client that has gone, or a request whose
time is over, ends its computation; every generation ends.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator

import structlog

from ..engines.base import EngineError, GenerationChunk, GenerationRequest, PromptTooLong
from ..engines.base import UpstreamError as EngineUpstreamError
from ..errors import (
    ContextTooLong,
    DeadlineExceeded,
    Draining,
    InferenceFailed,
    Overloaded,
    ServiceError,
    UpstreamFailed,
)
from ..metrics import Metrics
from ..settings import Settings
from ..tasks.chat import ChatTask
from .base import Lane, Timing

_log = structlog.get_logger(__name__)

_POLL_SECONDS = 0.25
# An engine has that long to end what was cancelled; then it counts as hanging.
_CANCEL_SECONDS = 30.0
_RETRY_AFTER = 5


class Generation:
    """One admitted answer: iterate it, and close it in any case."""

    def __init__(self, request: GenerationRequest, deadline: float, clock: Callable[[], float]):
        self.request = request
        self.deadline = deadline
        self.submitted = clock()
        self.begun: float | None = None
        self.ended: float | None = None
        self._clock = clock
        self._cancelled = threading.Event()
        self._chunks: queue.SimpleQueue[GenerationChunk | ServiceError | None] = queue.SimpleQueue()

    @property
    def timing(self) -> Timing:
        """What it has cost so far."""
        begun = self.begun if self.begun is not None else self._clock()
        ended = self.ended if self.ended is not None else self._clock()
        return Timing(begun - self.submitted, max(0.0, ended - begun))

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._cancelled.is_set() or self._clock() >= self.deadline

    def close(self) -> None:
        """End the computation, unless it has ended already."""
        self._cancelled.set()

    def put(self, chunk: GenerationChunk | ServiceError | None) -> None:
        """Hand over a chunk, a failure, or None at the end."""
        self._chunks.put(chunk)

    def chunks(self, gone: Callable[[], bool] = lambda: False) -> Iterator[GenerationChunk]:
        """Yield the chunks as they come; end early when the client has `gone`.

        Raises the ServiceError by which the computation failed, or DeadlineExceeded.
        """
        try:
            while True:
                try:
                    chunk = self._chunks.get(timeout=_POLL_SECONDS)
                except queue.Empty:
                    if gone():
                        return
                    if self._clock() >= self.deadline:
                        raise DeadlineExceeded(
                            "The answer took longer than a request may; ask for fewer tokens."
                        ) from None
                    continue
                if chunk is None:
                    return
                if isinstance(chunk, ServiceError):
                    raise chunk
                yield chunk
        finally:
            self.close()


class GenerationLane(Lane):
    """The places of a generator, and the requests that wait for one."""

    def __init__(
        self, task: ChatTask, settings: Settings, *, clock: Callable[[], float], metrics: Metrics
    ) -> None:
        self._task = task
        self._limits = settings.limits
        self._clock = clock
        self._metrics = metrics
        self._condition = threading.Condition()
        self._waiting: deque[Generation] = deque()
        self._running: set[Generation] = set()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"generator-{place}", daemon=True)
            for place in range(task.parallel)
        ]

    @property
    def alive(self) -> bool:
        """Whether every place works, and none is stuck in a request that is over."""
        with self._condition:
            stuck = any(
                self._clock() > generation.deadline + _CANCEL_SECONDS
                for generation in self._running
            )
        return not stuck and all(thread.is_alive() for thread in self._threads)

    @property
    def queued_tokens(self) -> int:
        """Tokens that the waiting requests may generate."""
        with self._condition:
            return sum(generation.request.max_tokens for generation in self._waiting)

    def start(self) -> None:
        """Open the places."""
        for thread in self._threads:
            thread.start()

    def generate(self, request: GenerationRequest) -> Generation:
        """Admit one answer, or raise Overloaded or Draining."""
        deadline = self._clock() + self._limits.request_timeout_seconds
        return self._submit(request, deadline)

    def try_canary(self, timeout: float) -> None:
        """Generate a word before all that wait."""
        if self._threads and self._threads[0].ident is not None and not self.alive:
            raise InferenceFailed("A place of the engine hangs.")
        generation = self._submit(self._task.canary, self._clock() + timeout, urgent=True)
        self._task.verify(list(generation.chunks()))

    def stop(self, timeout: float) -> None:
        """Finish what runs within `timeout` seconds, refuse what waits."""
        with self._condition:
            self._stopping = True
            waiting, self._waiting = list(self._waiting), deque()
            self._condition.notify_all()
        for generation in waiting:
            generation.put(Draining("The server stopped before this request.", retry_after=1))
        end = self._clock() + timeout
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, end - self._clock()))
        with self._condition:
            for generation in self._running:
                generation.close()

    def _submit(
        self, request: GenerationRequest, deadline: float, *, urgent: bool = False
    ) -> Generation:
        generation = Generation(request, deadline, self._clock)
        with self._condition:
            if self._stopping:
                raise Draining("The server is stopping; send the request again.", retry_after=1)
            self._waiting = deque(other for other in self._waiting if not other.cancelled)
            free = len(self._threads) - len(self._running)
            if not urgent and len(self._waiting) >= free + self._limits.waiting_generations:
                raise Overloaded(
                    "All places are taken and enough requests wait; send the request again later.",
                    retry_after=_RETRY_AFTER,
                )
            if urgent:
                self._waiting.appendleft(generation)
            else:
                self._waiting.append(generation)
            self._condition.notify()
        return generation

    def _work(self) -> None:
        while (generation := self._take()) is not None:
            try:
                self._generate(generation)
            finally:
                generation.ended = self._clock()
                generation.put(None)
                with self._condition:
                    self._running.discard(generation)

    def _take(self) -> Generation | None:
        with self._condition:
            while True:
                while self._waiting:
                    generation = self._waiting.popleft()
                    if generation.cancelled:
                        self._metrics.dropped("cancelled", 1)
                        continue
                    self._running.add(generation)
                    generation.begun = self._clock()
                    self._metrics.queued(generation.begun - generation.submitted)
                    return generation
                if self._stopping:
                    return None
                self._condition.wait()

    def _generate(self, generation: Generation) -> None:
        started = self._clock()
        first: float | None = None
        tokens = 0
        try:
            for chunk in self._task.generate(generation.request, lambda: generation.cancelled):
                if first is None and chunk.text:
                    first = self._clock() - started
                tokens = chunk.completion_tokens or tokens
                generation.put(chunk)
                if generation.cancelled:
                    break
        except PromptTooLong as error:
            generation.put(ContextTooLong(str(error), param="messages"))
        except EngineUpstreamError as error:
            _log.error("upstream_failed", reason=str(error))
            generation.put(UpstreamFailed(str(error), retry_after=_RETRY_AFTER))
        except Exception as error:
            _log.error("generation_failed", exc_info=error)
            known = isinstance(error, EngineError)
            reason = str(error) if known else "The model could not answer."
            generation.put(InferenceFailed(reason))
        finally:
            self._metrics.generated(tokens, first, self._clock() - started)
