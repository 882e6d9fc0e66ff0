# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests of the model server."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog

HERE = Path(__file__).resolve().parent
SERVER = HERE.parents[1] / "files" / "model_server"
sys.path[:0] = [str(SERVER), str(HERE), str(HERE / "models")]

from fakes import FakeEngine  # noqa: E402
from support import Service  # noqa: E402

# A busy machine is no failure: no test may depend on how long an example takes.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")
# Tests read log lines by capture_logs; printed tracebacks would only cost time.
structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[])


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A snapshot without weights: the fake engine needs none."""
    folder = tmp_path / "snapshot"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture
def engine() -> FakeEngine:
    """The fake engine of the service under test."""
    return FakeEngine()


@pytest.fixture
def unloaded(engine: FakeEngine, snapshot: Path) -> Iterator[Service]:
    """A service whose model is not loaded yet."""
    service = Service(engine, snapshot)
    yield service
    engine.unblock()
    service.runtime.stop(timeout=5)


@pytest.fixture
def serve(snapshot: Path) -> Iterator[Callable[..., Service]]:
    """Make ready services of any task, on a fake engine that knows the labels given."""
    services: list[Service] = []

    def make(task: str, labels: tuple[str, ...] = (), **sections: Any) -> Service:
        engine = FakeEngine(labels=labels)
        services.append(Service(engine, snapshot, service={"task": task}, **sections))
        return services[-1].load()

    yield make
    for made in services:
        made.runtime.stop(timeout=5)


@pytest.fixture
def service(unloaded: Service) -> Service:
    """A ready service."""
    return unloaded.load()
