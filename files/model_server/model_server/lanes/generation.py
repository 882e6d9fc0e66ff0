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
from collections.abc import Callable, Iterator, Sequence

import structlog

from ..engines.base import (
    EngineError,
    GenerationChunk,
    GenerationRequest,
    Message,
    PromptRefused,
    PromptTooLong,
    UpstreamError,
)
from ..errors import (
    ContextTooLong,
    DeadlineExceeded,
    Draining,
    InferenceFailed,
    InvalidRequest,
    Overloaded,
    ServiceError,
    UpstreamFailed,
)
from ..metrics import Metrics
from ..settings import Settings
from ..tasks.chat import ChatOptions, ChatTask
from .base import Lane, Timing

_log = structlog.get_logger(__name__)

_POLL_SECONDS = 0.25
# An engine has that long to end what was cancelled; then it counts as hanging.
_CANCEL_SECONDS = 30.0
# What was cancelled at a stop gets that long to leave the engine, before it is freed.
_LEAVE_SECONDS = 2.0
_RETRY_AFTER = 5


class Generation:
    """One admitted answer: iterate it, and close it in any case."""

    def __init__(self, request: GenerationRequest, deadline: float, clock: Callable[[], float]):
        self.request = request
        self.deadline = deadline
        self.submitted = clock()
        self.begun: float | None = None
        self.first: float | None = None
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
        if self.first is None and isinstance(chunk, GenerationChunk) and chunk.text:
            self.first = self._clock()
        self._chunks.put(chunk)

    def chunks(self, gone: Callable[[], bool] = lambda: False) -> Iterator[GenerationChunk]:
        """Yield the chunks up to the one with `finish_reason`; fewer when the client has `gone`.

        Raises the ServiceError by which the computation failed, DeadlineExceeded or Draining.
        """
        looked = self._clock()
        try:
            while True:
                chunk = self._next()
                # Chunks that come quickly must not keep a client that has gone unseen.
                if chunk is None or self._clock() - looked >= _POLL_SECONDS:
                    looked = self._clock()
                    if gone():
                        return
                if chunk is None:
                    continue
                yield chunk
                if chunk.finish_reason is not None:
                    return
        finally:
            self.close()

    def _next(self) -> GenerationChunk | None:
        """The next chunk, None when there is none yet."""
        try:
            chunk = self._chunks.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            if self._clock() < self.deadline:
                return None
            chunk = None
        if isinstance(chunk, ServiceError):
            raise chunk
        if chunk is not None:
            return chunk
        if self._clock() >= self.deadline:
            raise DeadlineExceeded(
                "The answer took longer than a request may; ask for fewer tokens."
            )
        raise Draining("The server stopped during this answer.", retry_after=1)


class GenerationLane(Lane):
    """The places of a generator, and the requests that wait for one.

    `on_death` is called when a place's thread ends by what no engine may raise.
    """

    def __init__(
        self,
        task: ChatTask,
        settings: Settings,
        *,
        clock: Callable[[], float],
        metrics: Metrics,
        on_death: Callable[[], None],
    ) -> None:
        self._task = task
        self._limits = settings.limits
        self._clock = clock
        self._metrics = metrics
        self._on_death = on_death
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

    def generate(self, messages: Sequence[Message], options: ChatOptions) -> Generation:
        """Admit one answer, or raise ForbiddenInstruction, Overloaded or Draining."""
        request = self._task.prepare(messages, options)
        return self._submit(request, self._clock() + self._limits.request_timeout_seconds)

    def try_canary(self, timeout: float) -> None:
        """Generate a few tokens before all that wait, in the first place that becomes free."""
        if not self.alive:
            raise InferenceFailed("A place of the engine hangs, or its thread has ended.")
        canary = self._submit(self._task.canary, self._clock() + timeout, urgent=True)
        self._task.verify(list(canary.chunks()))

    def stop(self, timeout: float) -> None:
        """Finish what runs within `timeout` seconds, refuse what waits."""
        with self._condition:
            self._stopping = True
            waiting, self._waiting = list(self._waiting), deque()
            self._condition.notify_all()
        for generation in waiting:
            generation.put(Draining("The server stopped before this request.", retry_after=1))
        self._join(timeout)
        with self._condition:
            for generation in self._running:
                generation.close()
        self._join(_LEAVE_SECONDS)

    def _join(self, timeout: float) -> None:
        end = self._clock() + timeout
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, end - self._clock()))

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
            except BaseException as error:
                _log.critical("generator_died", exc_info=error)
                generation.put(InferenceFailed("The model could not answer."))
                self._on_death()
                return
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
        """Compute one answer; whatever happens is handed over, and counted."""
        started = self._clock()
        outcome = "cancelled"
        last = GenerationChunk("")
        chunks = self._task.generate(generation.request, lambda: generation.cancelled)
        try:
            for last in chunks:
                generation.put(last)
                if last.finish_reason is not None:
                    outcome = last.finish_reason
                if generation.cancelled:
                    break
            if last.finish_reason is None and not generation.cancelled:
                raise EngineError("The model's answer broke off.")
        except Exception as error:
            outcome = "failed"
            generation.put(_failure(error))
        finally:
            chunks.close()
            first = None if generation.first is None else generation.first - started
            self._metrics.generated(
                outcome,
                prompt_tokens=last.prompt_tokens,
                completion_tokens=last.completion_tokens,
                first_seconds=first,
                seconds=self._clock() - started,
            )


def _failure(error: Exception) -> ServiceError:
    """What a client is told of a failure of the engine."""
    if isinstance(error, PromptTooLong):
        return ContextTooLong(str(error), param="messages")
    if isinstance(error, PromptRefused):
        return InvalidRequest(str(error), param="messages")
    if isinstance(error, UpstreamError):
        _log.error("upstream_failed", reason=str(error))
        return UpstreamFailed(str(error), retry_after=_RETRY_AFTER)
    _log.error("generation_failed", exc_info=error)
    known = isinstance(error, EngineError)
    return InferenceFailed(str(error) if known else "The model could not answer.")
