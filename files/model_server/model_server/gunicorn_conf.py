# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Configuration of gunicorn: one worker that holds the model, and threads that wait for it.

The bind address stands on the command line, since it names the slot.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from gunicorn.glogging import Logger

from . import logs
from .app import EXTENSION, KEEPERS
from .credentials import from_environment

_settings = from_environment().settings
_limits = _settings.limits

# gunicorn's own exit code for a worker that cannot boot: the arbiter stops instead of looping.
_WORKER_BOOT_ERROR = 3
_DRAIN_MARGIN_SECONDS = 5
_STOP_SECONDS = 1
_OPERATIONS_THREADS = 8


class JsonLogger(Logger):  # type: ignore[misc]  # gunicorn has no types.
    """gunicorn's own messages in the form of all others."""

    def setup(self, cfg: Any) -> None:
        """Set up as usual, then replace the formatter."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(logs.formatter())


worker_class = "gthread"
workers = 1
threads = _limits.concurrent_requests + _limits.websockets + _OPERATIONS_THREADS
# Longer than a proxy keeps an idle connection, so that the proxy is the one to close it.
keepalive = 75
# The worker's main thread must answer its arbiter; requests have their own deadline.
timeout = 120
graceful_timeout = _limits.request_timeout_seconds + _DRAIN_MARGIN_SECONDS
# The socket is for the service's user and group: 0660.
umask = 0o117
worker_tmp_dir = "/dev/shm"  # noqa: S108  # gunicorn unlinks it at once; memory never blocks.
control_socket_disable = True
accesslog = None
errorlog = "-"
loglevel = _settings.observability.log_level
logger_class = JsonLogger
raw_env = [
    # Compute threads are the engine's; libraries beside it must not start their own.
    f"OMP_NUM_THREADS={_settings.engine.threads}",
    # Two spinning threads beside a busy neighbour computed five times slower than two that sleep.
    "GOMP_SPINCOUNT=1000",
    "OPENBLAS_NUM_THREADS=1",
    "TOKENIZERS_PARALLELISM=false",
    "HF_HUB_OFFLINE=1",
]


def post_worker_init(worker: Any) -> None:
    """Open the records and load the model, after the fork; the process answers meanwhile."""
    for keeper in worker.wsgi.extensions[KEEPERS]:
        keeper.start()
    runtime = worker.wsgi.extensions[EXTENSION]
    runtime.on_failure = lambda: os._exit(_WORKER_BOOT_ERROR)
    # The worker finishes what it can and ends; the arbiter starts a new one.
    runtime.on_death = lambda: os.kill(os.getpid(), signal.SIGTERM)
    # Open WebSockets would hold up a stop until its time is over.
    runtime.stopping = lambda: not worker.alive
    runtime.start()


def worker_exit(server: Any, worker: Any) -> None:
    """Stop the batcher once the worker has answered its requests, and close the records."""
    if getattr(worker, "wsgi", None) is not None:
        worker.wsgi.extensions[EXTENSION].stop(timeout=_STOP_SECONDS)
        for keeper in worker.wsgi.extensions[KEEPERS]:
            keeper.close()
