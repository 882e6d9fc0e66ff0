# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The test hub as a threaded HTTP server."""

from __future__ import annotations

import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

from .exchange import Exchange
from .faults import Faults
from .journal import Journal
from .repository import Shelf

TOKEN = "test-hub-token"


class Hub:
    """Serve the repositories below ``root``; a context manager, or ``start`` and ``stop``.

    ``host`` and ``cdn_host`` are the two names under which clients reach the one socket at
    ``bind``; they must differ, since clients treat a redirect to another host in another way.
    Port 0 takes a free one. ``stall_seconds`` is how long a stalled body stays silent;
    ``bytes_per_second`` is the speed of one body, 0 for as fast as it goes.
    ``token_requests`` is how many more requests the token opens, None for any number.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        bind: str = "127.0.0.1",
        port: int = 0,
        host: str = "127.0.0.1",
        cdn_host: str = "localhost",
        token: str = TOKEN,
        log: str | Path | None = None,
        stall_seconds: float = 60,
        bytes_per_second: int = 0,
    ) -> None:
        if host == cdn_host:
            raise ValueError(f"the hub and its CDN need two host names, both are '{host}'")
        self.shelf = Shelf(Path(root))
        self.faults = Faults()
        self.journal = Journal(Path(log) if log else None)
        self.token = token
        self._token_lock = threading.Lock()
        self.token_requests: int | None = None
        self.cdn_host = cdn_host
        self.stall_seconds = stall_seconds
        self.bytes_per_second = bytes_per_second
        self.stopping = threading.Event()
        handler = type("HubExchange", (Exchange,), {"hub": self})
        self._server = ThreadingHTTPServer((bind, port), handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.url = f"http://{host}:{self.port}"
        self.cdn_url = f"http://{cdn_host}:{self.port}"

    def use_token(self) -> bool:
        """Count one request with the token; False once ``token_requests`` of them were made."""
        with self._token_lock:
            if self.token_requests is None:
                return True
            self.token_requests -= 1
            return self.token_requests >= 0

    def start(self) -> Hub:
        """Serve in a thread."""
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def serve_forever(self) -> None:
        """Serve in this thread until ``stop`` is called from another."""
        self._server.serve_forever(poll_interval=0.05)

    def stop(self) -> None:
        """End stalled answers, stop serving and free the port."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Hub:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
