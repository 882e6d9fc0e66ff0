# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The running service: engine, task, batcher and readiness."""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass

import structlog

from . import engines
from .batching import Batcher, Job
from .engines.base import Engine, EngineStartFailed, FloatArray, TextEncoder
from .errors import DeadlineExceeded, Draining, NotReady, Overloaded, TooLarge
from .metrics import Metrics
from .settings import Settings
from .tasks import REGISTRY, EmbeddingTask
from .tasks.embedding import EmbeddingItem, EmbeddingResult

_log = structlog.get_logger(__name__)


class State(enum.Enum):
    """Where the runtime stands."""

    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Timing:
    """What one request cost, in seconds; `batch_items` is its largest batch."""

    queue: float
    inference: float
    batch_items: int


class Runtime:
    """Owns the model of one process.

    Creating it has no effect. `start` loads in a thread, so that the process answers meanwhile;
    `on_failure` is called when loading fails, `on_death` when the batcher's thread ends.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        create_engine: Callable[[str], Engine] = engines.create,
        clock: Callable[[], float] = time.monotonic,
        on_failure: Callable[[], None] = lambda: None,
        on_death: Callable[[], None] = lambda: None,
    ) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.on_failure = on_failure
        self.on_death = on_death
        self.loaded_at = 0
        self._create_engine = create_engine
        self._clock = clock
        self._state = State.STARTING
        self._task: EmbeddingTask | None = None
        self._batcher: Batcher[EmbeddingItem, FloatArray] | None = None
        self._slots = threading.BoundedSemaphore(settings.limits.concurrent_requests)
        self.metrics.watch(lambda: self.ready, self._queued_tokens)

    @property
    def ready(self) -> bool:
        """Loaded, the canary passed, and the batcher lives."""
        return self._state is State.READY and self._batcher is not None and self._batcher.alive

    @property
    def task(self) -> EmbeddingTask:
        """The task of the loaded model; raises NotReady or Draining."""
        self.require_ready()
        assert self._task is not None
        return self._task

    def start(self) -> None:
        """Load in a thread of its own; called after the fork."""
        threading.Thread(target=self._load_or_fail, name="loader", daemon=True).start()

    def load(self) -> None:
        """Load, warm up, pass the canary, and be ready; raise EngineError."""
        settings = self.settings
        started = self._clock()
        engine = self._create_engine(settings.engine.name)
        engine.load(settings.model.path, settings.engine)
        if not isinstance(engine, TextEncoder):
            raise EngineStartFailed(f"engine {settings.engine.name} cannot encode text")
        task = REGISTRY[settings.service.task](
            engine, settings.model.path, settings.engine.max_tokens
        )
        task.warm_up(settings.batching.max_batch_tokens)
        batcher: Batcher[EmbeddingItem, FloatArray] = Batcher(
            task.compute,
            max_batch_tokens=settings.batching.max_batch_tokens,
            max_queue_tokens=settings.batching.max_queue_tokens,
            clock=self._clock,
            observer=self.metrics,
            on_death=self._batcher_died,
        )
        batcher.start()
        self._task, self._batcher = task, batcher
        task.verify(self._compute(task, batcher, task.canary)[0])
        self._describe(engine)
        self.loaded_at = int(time.time())
        self._state = State.READY
        _log.info("model_ready", seconds=round(self._clock() - started, 3))

    def run(self, texts: Sequence[str]) -> tuple[EmbeddingResult, Timing]:
        """Answer one request within its time, or raise a ServiceError."""
        limits = self.settings.limits
        if len(texts) > limits.inputs_per_request:
            raise TooLarge(
                f"{len(texts)} inputs were sent; one request may have {limits.inputs_per_request}.",
                param="input",
            )
        task = self.task
        assert self._batcher is not None
        if not self._slots.acquire(blocking=False):
            raise Overloaded(
                "Too many requests are in work; send the request again later.", retry_after=1
            )
        try:
            return self._compute(task, self._batcher, texts)
        finally:
            self._slots.release()

    def stop(self, timeout: float) -> None:
        """Finish admitted work within `timeout` seconds and refuse the rest."""
        self._state = State.STOPPED
        if self._batcher is not None:
            self._batcher.stop(timeout)

    def _compute(
        self,
        task: EmbeddingTask,
        batcher: Batcher[EmbeddingItem, FloatArray],
        texts: Sequence[str],
    ) -> tuple[EmbeddingResult, Timing]:
        deadline = self._clock() + self.settings.limits.request_timeout_seconds
        items = task.prepare(texts)
        job: Job[FloatArray] = batcher.submit(items, deadline)
        try:
            rows = job.future.result(timeout=max(0.0, deadline - self._clock()))
        except (TimeoutError, CancelledError) as error:
            job.future.cancel()
            raise DeadlineExceeded(
                f"No answer within {self.settings.limits.request_timeout_seconds} s; "
                "send fewer or shorter inputs."
            ) from error
        result = task.finish(items, rows)
        self.metrics.truncated(result.truncated)
        return result, Timing(job.queue_seconds or 0.0, job.inference_seconds, job.batch_items)

    def _batcher_died(self) -> None:
        # Looked up only now: the process sets it after this object is made.
        self.on_death()

    def _load_or_fail(self) -> None:
        try:
            self.load()
        except Exception as error:
            self._state = State.FAILED
            _log.critical("model_failed", reason=str(error), exc_info=error)
            self.on_failure()

    def require_ready(self) -> None:
        """Raise NotReady or Draining unless requests can be computed."""
        if self._state is State.STOPPED:
            raise Draining("The server is stopping; send the request again.", retry_after=1)
        if not self.ready:
            raise NotReady(
                f"The model is not ready ({self._state.value}); try again.",
                retry_after=5,
                details={"state": self._state.value},
            )

    def _describe(self, engine: Engine) -> None:
        service, model, info = self.settings.service, self.settings.model, engine.info
        labels = {
            "service": service.name,
            "release": service.release,
            "served_name": service.served_name,
            "task": service.task,
            "source": model.source,
            "id": model.id,
            "revision": model.revision,
            "engine": info.name,
            "engine_version": info.version,
            "dtype": info.dtype,
            "device": info.device,
        }
        self.metrics.describe(labels)
        _log.info("model_loaded", **labels)

    def _queued_tokens(self) -> int:
        return self._batcher.queued_tokens if self._batcher is not None else 0
