# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The runtime's canary: what it tells the service manager, and when the service is unhealthy."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from fakes import FakeEngine
from model_server import watchdog
from model_server.engines.base import EngineStartFailed
from model_server.errors import Draining, NotReady, UpstreamFailed
from model_server.runtime import Runtime
from model_server.settings import Settings
from support import settings_content

ALIVE = ("WATCHDOG=1",)


class Watched:
    """A runtime on the fake engine; `words` are those for the service manager."""

    def __init__(self, snapshot: Path, engine: FakeEngine, **observability: Any) -> None:
        content = settings_content(snapshot, observability=observability)
        self.words: list[tuple[str, ...]] = []
        self.failed = threading.Event()
        self.runtime = Runtime(
            Settings.model_validate_json(json.dumps(content)),
            create_engine=lambda name, purpose: engine,
            notify=lambda *words: self.words.append(words),
            on_failure=self.failed.set,
        )

    def state(self) -> str:
        try:
            self.runtime.require_ready()
        except NotReady as error:
            assert error.details is not None
            return str(error.details["state"])
        except Draining:
            return "stopped"
        return "ready"


@pytest.fixture
def watched(snapshot: Path, engine: FakeEngine) -> Iterator[Watched]:
    watched = Watched(snapshot, engine)
    yield watched
    engine.unblock()
    watched.runtime.stop(timeout=5)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)


def fail(texts: Any) -> Any:
    raise RuntimeError("told to fail")


def test_a_passed_canary_feeds_the_watchdog_and_a_failed_one_does_not(
    watched: Watched, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.runtime.load()
    assert watched.words == [], "only the life after the load speaks"
    watched.runtime.check()
    assert watched.words == [ALIVE]

    with monkeypatch.context() as broken, capture_logs() as logs:
        broken.setattr(engine, "encode", fail)
        watched.runtime.check()
        watched.runtime.check()
    assert watched.words == [ALIVE]
    assert watched.state() == "unhealthy"
    assert [line["event"] for line in logs].count("canary_failed") == 2

    with capture_logs() as logs:
        watched.runtime.check()
    assert watched.words == [ALIVE, ALIVE]
    assert watched.state() == "ready"
    assert [line["event"] for line in logs] == ["canary_passed"]


def test_a_failure_of_the_server_behind_is_no_reason_for_a_restart(
    watched: Watched, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.runtime.load()

    def fail_upstream(timeout: float) -> None:
        raise UpstreamFailed("no answer")

    monkeypatch.setattr(watched.runtime._lane, "try_canary", fail_upstream)
    watched.runtime.check()
    assert watched.state() == "unhealthy"
    assert watched.words == [ALIVE]


def test_the_words_come_in_order(snapshot: Path, engine: FakeEngine) -> None:
    engine.block()
    watched = Watched(snapshot, engine, canary_seconds=1, watchdog_seconds=7)
    watched.runtime.start()
    assert engine.entered.wait(20)
    # A worker before this one may have set a watchdog, which the load must not meet.
    assert watched.words == [("WATCHDOG_USEC=0",)]
    engine.unblock()
    wait_for(lambda: len(watched.words) >= 3)
    assert watched.words[1:3] == [("WATCHDOG_USEC=7000000", "WATCHDOG=1"), ALIVE]
    watched.runtime.stop(timeout=5)
    said = len(watched.words)
    time.sleep(1.2)
    assert len(watched.words) == said, "nothing after the stop"


def test_a_canary_that_hangs_is_unhealthy_before_the_service_manager_acts(
    snapshot: Path, engine: FakeEngine
) -> None:
    watched = Watched(snapshot, engine, canary_seconds=1, watchdog_seconds=2)
    watched.runtime.load()
    engine.block()
    started = time.monotonic()
    watched.runtime.check()
    assert 0.9 < time.monotonic() - started < 2
    assert watched.state() == "unhealthy"
    assert watched.words == []
    engine.unblock()
    watched.runtime.check()
    assert watched.state() == "ready"
    watched.runtime.stop(timeout=5)


@pytest.mark.parametrize("passes", [True, False])
def test_a_stop_during_a_canary_stays_a_stop(
    watched: Watched, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, passes: bool
) -> None:
    watched.runtime.load()
    if not passes:
        monkeypatch.setattr(engine, "encode", lambda batch: engine.entered.set() or fail(batch))
    engine.block()
    with capture_logs() as logs:
        checking = threading.Thread(target=watched.runtime.check)
        checking.start()
        assert engine.entered.wait(20)
        stopping = threading.Thread(target=watched.runtime.stop, args=(5,))
        stopping.start()
        wait_for(lambda: watched.state() == "stopped")
        engine.unblock()
        checking.join(20)
        stopping.join(20)
    assert watched.state() == "stopped"
    if passes:
        assert watched.words == []
        assert [line for line in logs if line["event"].startswith("canary")] == []


def test_a_check_after_a_stop_does_nothing(watched: Watched, engine: FakeEngine) -> None:
    watched.runtime.load()
    watched.runtime.stop(timeout=5)
    batches = len(engine.batches)
    watched.runtime.check()
    assert (watched.words, len(engine.batches)) == ([], batches)


@pytest.mark.parametrize("load_fails", [True, False])
def test_a_stop_during_the_load_is_no_failure(
    watched: Watched, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, load_fails: bool
) -> None:
    loading, going_on = threading.Event(), threading.Event()

    def load(*arguments: Any) -> None:
        loading.set()
        assert going_on.wait(20)
        if load_fails:
            raise EngineStartFailed("the process ends")

    monkeypatch.setattr(engine, "load", load)
    before = set(threading.enumerate())
    watched.runtime.start()
    (life,) = (thread for thread in threading.enumerate() if thread.name == "runtime")
    assert life not in before
    assert loading.wait(20)
    watched.runtime.stop(timeout=1)
    going_on.set()
    life.join(20)
    assert not life.is_alive()
    assert watched.state() == "stopped"
    assert not watched.failed.is_set(), "the process must end as asked, not as one that failed"
    assert watched.words == [("WATCHDOG_USEC=0",)]


@pytest.mark.parametrize("abstract", [True, False])
def test_words_go_to_the_socket_of_the_service_manager(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool
) -> None:
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name if abstract else name)
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name if abstract else name)
        watchdog.notify(watchdog.allow(1.5), watchdog.ALIVE)
        assert manager.recv(4096) == b"WATCHDOG_USEC=1500000\nWATCHDOG=1"


def test_a_service_manager_that_is_deaf_or_absent_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    watchdog.notify(watchdog.ALIVE)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    with capture_logs() as logs:
        watchdog.notify(watchdog.ALIVE)
    assert [line["event"] for line in logs] == ["notify_failed"]
