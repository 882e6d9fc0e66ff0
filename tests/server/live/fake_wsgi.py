# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Entry point like `model_server.wsgi`, on the fake engine. Not part of the product.

While the folder $FAKE_FAULTS holds a file `hang`, the engine computes nothing; with a file `fail`
it raises.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from pathlib import Path

from fakes import FakeEngine, FakeGenerator
from model_server import logs
from model_server.app import create_app
from model_server.credentials import from_environment
from model_server.engines.base import (
    EngineStartFailed,
    FloatArray,
    GenerationChunk,
    GenerationRequest,
    TensorBatch,
)
from model_server.runtime import Runtime

_faults = Path(os.environ.get("FAKE_FAULTS", "/nonexistent"))


class FaultyEngine(FakeEngine):
    """A fake engine whose faults are switched from outside the process."""

    def encode(self, batch: TensorBatch) -> FloatArray:
        """Compute, unless told otherwise."""
        while (_faults / "hang").exists():
            time.sleep(0.02)
        if (_faults / "fail").exists():
            raise RuntimeError("told to fail")
        # What the fake keeps for other tests would grow with each request.
        self.batches.clear()
        return super().encode(batch)


class ForgetfulGenerator(FakeGenerator):
    """A fake generator that keeps no request of the past."""

    def generate(
        self, request: GenerationRequest, cancelled: Callable[[], bool]
    ) -> Generator[GenerationChunk]:
        """Say the words; what the fake keeps for other tests would grow with each request."""
        self.requests.clear()
        return super().generate(request, cancelled)


_failure = os.environ.get("FAKE_LOAD_ERROR")
_loaded = from_environment()
_trace = os.environ.get("FAKE_TRACE")
_engine = (
    ForgetfulGenerator(_loaded.settings.engine.parallel, Path(_trace) if _trace else None)
    if _loaded.settings.service.task == "chat"
    else FaultyEngine(load_error=EngineStartFailed(_failure) if _failure else None)
)
logs.configure(_loaded.settings.observability.log_level)
app = create_app(_loaded, Runtime(_loaded.settings, create_engine=lambda name, purpose: _engine))
