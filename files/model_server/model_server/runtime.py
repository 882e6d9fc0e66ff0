# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The running service: engine, task, lane, readiness and the canary that proves it."""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from . import engines, watchdog
from .engines.base import Engine, Message, Purpose
from .errors import Draining, NotReady, TaskNotOffered, UpstreamFailed
from .lanes.base import Lane, Timing
from .lanes.batch import BatchLane
from .lanes.generation import Generation, GenerationLane
from .metrics import Metrics
from .settings import Settings
from .tasks import REGISTRY, ChatTask, Task
from .tasks.chat import ChatOptions

_log = structlog.get_logger(__name__)


class State(enum.Enum):
    """Where the runtime stands."""

    STARTING = "starting"
    READY = "ready"
    UNHEALTHY = "unhealthy"
    FAILED = "failed"
    STOPPED = "stopped"


class Runtime:
    """Owns the model of one process.

    Creating it has no effect. `start` loads in a thread, so that the process answers meanwhile;
    `on_failure` is called when loading fails, `on_death` when a thread that computes ends.
    `stopping` tells whether long connections should come to their end.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        credential: str | None = None,
        create_engine: Callable[[str, Purpose], Engine] = engines.create,
        clock: Callable[[], float] = time.monotonic,
        notify: Callable[..., None] = watchdog.notify,
        on_failure: Callable[[], None] = lambda: None,
        on_death: Callable[[], None] = lambda: None,
    ) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.on_failure = on_failure
        self.on_death = on_death
        self.stopping: Callable[[], bool] = lambda: self._state is State.STOPPED
        self.loaded_at = 0
        self._credential = credential
        self._create_engine = create_engine
        self._clock = clock
        self._notify = notify
        self._state = State.STARTING
        self._moving = threading.Lock()
        self._engine: Engine | None = None
        self._task: Task | None = None
        self._lane: Lane | None = None
        self._stopped = threading.Event()
        self.metrics.watch(
            lambda: self.ready, lambda: self._lane.queued_tokens if self._lane else 0
        )

    @property
    def ready(self) -> bool:
        """Loaded, the last canary passed, and the lane lives."""
        return self._state is State.READY and self._lane is not None and self._lane.alive

    @property
    def task(self) -> Any:
        """The task of the loaded model; raises NotReady before that."""
        self.require_ready()
        return self._task

    def start(self) -> None:
        """Load in a thread of its own; called after the fork."""
        threading.Thread(target=self._live, name="runtime", daemon=True).start()

    def load(self) -> None:
        """Load, warm up, pass the canary, and be ready; raise EngineError."""
        settings = self.settings
        started = self._clock()
        task_class = REGISTRY[settings.service.task]
        engine = self._create_engine(settings.engine.name, task_class.purpose)
        self._engine = engine
        engine.credential = self._credential
        engine.load(settings.model.path, settings.engine_section, task_class.purpose)
        self._task = task = task_class.create(engine, settings)
        self._lane = lane = self._make_lane(task)
        lane.start()
        lane.try_canary(self._canary_timeout)
        self._describe(engine)
        self.loaded_at = int(time.time())
        if self._move(State.STARTING, State.READY):
            _log.info("model_ready", seconds=round(self._clock() - started, 3))

    def run(self, request: Any, inputs: int) -> tuple[Any, Timing]:
        """Answer one request of a batch task within its time, or raise a ServiceError."""
        self.require_ready()
        if not isinstance(self._lane, BatchLane):
            raise self._not_offered("it only chats")
        return self._lane.run(request, inputs)

    def generate(self, messages: Sequence[Message], options: ChatOptions) -> Generation:
        """Begin one answer of a chat, or raise a ServiceError; the caller closes it."""
        self.require_ready()
        if not isinstance(self._lane, GenerationLane):
            raise self._not_offered("it does not chat")
        return self._lane.generate(messages, options)

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

    def stop(self, timeout: float) -> None:
        """Finish admitted work within `timeout` seconds and refuse the rest."""
        with self._moving:
            self._state = State.STOPPED
        self._stopped.set()
        if self._lane is not None:
            self._lane.stop(timeout)
        if self._engine is not None:
            self._engine.close()

    def _make_lane(self, task: Task) -> Lane:
        if isinstance(task, ChatTask):
            return GenerationLane(
                task,
                self.settings,
                clock=self._clock,
                metrics=self.metrics,
                on_death=self._died,
            )
        return BatchLane(
            task,  # type: ignore[arg-type]  # every other task is a batch task
            self.settings,
            clock=self._clock,
            metrics=self.metrics,
            on_death=self._died,
        )

    def _died(self) -> None:
        # Looked up only now: the process sets it after this object is made.
        self.on_death()

    def _live(self) -> None:
        """Load, then prove again and again that requests are answered."""
        observability = self.settings.observability
        # A worker before this one may have set the watchdog; loading takes as long as it takes.
        self._notify(watchdog.allow(0))
        try:
            self.load()
        except Exception as error:
            if self._move(State.STARTING, State.FAILED):
                _log.critical("model_failed", reason=str(error), exc_info=error)
                self.on_failure()
            return
        if not self._stopped.is_set():
            self._notify(watchdog.allow(observability.watchdog_seconds), watchdog.ALIVE)
        while not self._stopped.wait(observability.canary_seconds):
            self.check()

    def check(self) -> None:
        """Try the canary; feed the watchdog when it passes, be unhealthy when it fails.

        A failure of the server behind this one is no reason to start this one anew.
        """
        if self._lane is None or self._state not in (State.READY, State.UNHEALTHY):
            return
        try:
            self._lane.try_canary(self._canary_timeout)
        except Exception as error:
            if not self._stopped.is_set():
                _log.error("canary_failed", reason=str(error))
            self._move(State.READY, State.UNHEALTHY)
            if isinstance(error, UpstreamFailed):
                self._notify(watchdog.ALIVE)
            return
        if not self._stopped.is_set():
            self._notify(watchdog.ALIVE)
        if self._move(State.UNHEALTHY, State.READY):
            _log.info("canary_passed")

    @property
    def _canary_timeout(self) -> float:
        """Seconds from one canary until the service manager gives up, less the pause before it."""
        observability = self.settings.observability
        return float(observability.watchdog_seconds - observability.canary_seconds)

    def _move(self, before: State, after: State) -> bool:
        """Go from one state to another; False when the runtime is elsewhere, such as stopped."""
        with self._moving:
            if self._state is not before:
                return False
            self._state = after
        return True

    def _not_offered(self, why: str) -> TaskNotOffered:
        task = self.settings.service.task
        return TaskNotOffered(f"This model offers {task}; {why}.", details={"offered": [task]})

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
