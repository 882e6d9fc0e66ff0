# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What a service manager hears of a real gunicorn; the test stands in for systemd's socket."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from gunicorn_process import Gunicorn, Start

pytestmark = pytest.mark.live

CANARY, WATCHDOG = 1, 4
SECTIONS = {
    "observability": {"canary_seconds": CANARY, "watchdog_seconds": WATCHDOG},
    "rates": {"requests_per_minute": 0, "address_requests_per_minute": 0},
}
ALIVE = "WATCHDOG=1"


class Manager:
    """The socket in $NOTIFY_SOCKET, and when each word arrived there."""

    def __init__(self, path: Path) -> None:
        self.heard: list[tuple[float, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            message = self._socket.recv(4096).decode()
            self.heard += [(time.monotonic(), word) for word in message.splitlines()]

    @property
    def words(self) -> list[str]:
        return [word for _moment, word in self.heard]

    def alive(self) -> list[float]:
        """When `WATCHDOG=1` arrived."""
        return [moment for moment, word in self.heard if word == ALIVE]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("life")


@pytest.fixture(scope="module")
def manager(folder: Path) -> Manager:
    return Manager(folder / "notify")


@pytest.fixture
def faults(folder: Path) -> Iterator[Path]:
    """The folder that switches the engine's faults."""
    faults = folder / "faults"
    faults.mkdir(exist_ok=True)
    yield faults
    for fault in faults.iterdir():
        fault.unlink()


@pytest.fixture(scope="module")
def server(start_shared: Start, manager: Manager, folder: Path) -> Gunicorn:
    notify, faults = str(folder / "notify"), str(folder / "faults")
    server = start_shared(sections=SECTIONS, NOTIFY_SOCKET=notify, FAKE_FAULTS=faults)
    server.wait_ready()
    return server


def state(server: Gunicorn) -> str:
    status, _headers, body = server.request("GET", "/ready")
    return "ready" if status == 200 else str(body["error"]["details"]["state"])


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def test_words_arrive_in_order_and_end_while_the_engine_hangs(
    server: Gunicorn, manager: Manager, faults: Path
) -> None:
    wait_for(lambda: len(manager.alive()) >= 3)
    setting = f"WATCHDOG_USEC={WATCHDOG}000000"
    assert manager.words[:2] == ["READY=1", "STATUS=Gunicorn arbiter booted"]
    assert manager.words[2:5] == ["WATCHDOG_USEC=0", setting, ALIVE]
    assert set(manager.words[5:]) == {ALIVE}

    (faults / "hang").touch()
    time.sleep(0.2)
    heard = len(manager.heard)
    wait_for(lambda: state(server) == "unhealthy", seconds=2 * WATCHDOG)
    assert time.monotonic() - manager.alive()[-1] > WATCHDOG - CANARY
    assert len(manager.heard) <= heard + 1, "at most the canary that was computed already"
    assert server.request("GET", "/health")[0] == 200

    (faults / "hang").unlink()
    wait_for(lambda: state(server) == "ready")
    assert manager.words[-1] == ALIVE


def test_a_failing_canary_is_unhealthy_and_a_passing_one_heals(
    server: Gunicorn, manager: Manager, faults: Path
) -> None:
    (faults / "fail").touch()
    wait_for(lambda: state(server) == "unhealthy")
    heard = len(manager.heard)
    assert server.embed("a")[2]["error"]["code"] == "not_ready"
    time.sleep(2 * CANARY)
    assert len(manager.heard) == heard
    (faults / "fail").unlink()
    wait_for(lambda: state(server) == "ready")
    assert len(manager.heard) > heard
    assert server.embed("a")[0] == 200
    events = [line["event"] for line in server.lines()]
    assert "canary_failed" in events
    assert "canary_passed" in events


def test_an_overloaded_service_stays_alive(server: Gunicorn, manager: Manager) -> None:
    # Each batch costs a second, and the queue is always full: 256 tokens, 64 a request.
    begun = time.monotonic()
    end = begun + 2 * WATCHDOG
    codes: set[int] = set()

    def demand(_number: int) -> None:
        while time.monotonic() < end:
            codes.add(server.embed([f"slow {'word ' * 20}"] * 4)[0])
            time.sleep(0.05)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(demand, range(12)))
    assert codes == {200, 503}, "some are served, the others refused at once"
    moments = [begun, *(moment for moment in manager.alive() if moment > begun)]
    gaps = [later - sooner for sooner, later in pairwise(moments)]
    assert moments[-1] > end - WATCHDOG
    assert max(gaps) < WATCHDOG


def test_a_new_worker_stops_the_watchdog_until_it_has_loaded(
    server: Gunicorn, manager: Manager
) -> None:
    before = server.worker
    assert server.embed("die")[0] == 503
    server.wait_until(lambda: server.worker not in (None, before))
    server.wait_ready()
    wait_for(lambda: manager.words.count("WATCHDOG_USEC=0") == 2)
    again = manager.words.index("WATCHDOG_USEC=0", 3)
    wait_for(lambda: len(manager.words) > again + 2)
    assert manager.words[again + 1 : again + 3] == [f"WATCHDOG_USEC={WATCHDOG}000000", ALIVE]


def test_the_signal_of_the_watchdog_ends_all_processes(start: Start) -> None:
    """systemd sends SIGABRT to the main process, and kills what is left when that has ended."""
    server = start()
    server.wait_ready()
    worker = server.worker
    assert worker is not None
    server.process.send_signal(signal.SIGABRT)
    assert server.process.wait(timeout=5) == -signal.SIGABRT
    wait_for(lambda: not Path(f"/proc/{worker}/cwd").exists(), seconds=10)
