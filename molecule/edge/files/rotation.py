# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Force three rotations of a log while requests are answered, and count the lines.

Usage: rotation.py LOG CONFIGURATION https NAME PATH
       rotation.py LOG CONFIGURATION unix SOCKET PATH

PATH is what requests post to. Each request has an id of its own; all that were answered must stand
in the log or in one of its rotated parts, once. Status 1 where one is missing or there twice.
"""

from __future__ import annotations

import collections
import glob
import gzip
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

THREADS, ROTATIONS, REQUESTS_BETWEEN = 4, 3, 200
PATIENCE_SECONDS = 60


class UnixConnection(http.client.HTTPConnection):
    """A connection to a Unix socket, whose path stands for the host."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class LocalConnection(http.client.HTTPSConnection):
    """A connection to this host under another name."""

    def connect(self) -> None:
        plain = socket.create_connection(("127.0.0.1", 443), self.timeout)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host)


def connect(kind: str, where: str) -> http.client.HTTPConnection:
    """Open a connection by ``https`` or ``unix``."""
    if kind == "unix":
        connection = UnixConnection("localhost", timeout=30)
        connection.path = where
        return connection
    # What is measured is the log, and the certificate may be from an authority of the test.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return LocalConnection(where, timeout=30, context=context)


class Load:
    """Threads that send requests until they are stopped; ``answered`` are the ids."""

    def __init__(self, kind: str, where: str, path: str) -> None:
        self.kind, self.where, self.path = kind, where, path
        self.answered: list[str] = []
        self.stopped = threading.Event()
        self.threads = [
            threading.Thread(target=self._send, args=(number,)) for number in range(THREADS)
        ]

    def _send(self, number: int) -> None:
        connection, count = connect(self.kind, self.where), 0
        while not self.stopped.is_set():
            name = f"rotation-{os.getpid()}-{number}-{count}"
            count += 1
            try:
                # Nobody may use this without a key; a refusal is a line as well.
                body, kind = b'{"input": "a"}', "application/json"
                headers = {"X-Request-ID": name, "Content-Type": kind, "Host": self.host()}
                connection.request("POST", self.path, body, headers)
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                connection.close()
                connection = connect(self.kind, self.where)
                continue
            self.answered.append(name)
        connection.close()

    def host(self) -> str:
        """Return the name that requests ask for."""
        return "localhost" if self.kind == "unix" else self.where

    def wait_for(self, more: int) -> None:
        """Wait until so many more requests were answered."""
        wanted, deadline = len(self.answered) + more, time.monotonic() + PATIENCE_SECONDS
        while len(self.answered) < wanted:
            if time.monotonic() > deadline:
                raise SystemExit(f"only {len(self.answered)} requests were answered")
            time.sleep(0.02)


def parts(log: str) -> list[str]:
    """Return the log and its rotated parts, the oldest first."""
    found = glob.glob(f"{log}.[0-9]*")
    numbered = sorted(found, key=lambda name: -int(name[len(log) + 1 :].partition(".")[0]))
    return [*numbered, log]


def ids(log: str) -> collections.Counter[str]:
    """Count the ids in all parts."""
    counted: collections.Counter[str] = collections.Counter()
    for name in parts(log):
        with gzip.open(name) if name.endswith(".gz") else open(name, "rb") as stream:
            counted.update(json.loads(line).get("request_id", "") for line in stream)
    return counted


def main() -> int:
    log, configuration, *target = sys.argv[1:]
    load = Load(*target)
    # A state of its own: the host's shall not think that it has rotated today.
    with tempfile.NamedTemporaryFile() as state:
        rotate = ["logrotate", "--force", "--state", state.name, configuration]
        for thread in load.threads:
            thread.start()
        try:
            for _turn in range(ROTATIONS):
                load.wait_for(REQUESTS_BETWEEN)
                subprocess.run(rotate, check=True)
            load.wait_for(REQUESTS_BETWEEN)
        finally:
            load.stopped.set()
            for thread in load.threads:
                thread.join()
    # A worker of nginx writes a line after the client has its answer.
    deadline = time.monotonic() + 10
    while (
        missing := set(load.answered) - set(counted := ids(log))
    ) and time.monotonic() < deadline:
        time.sleep(0.2)
    twice = [name for name in load.answered if counted[name] > 1]
    rotated = len(parts(log)) - 1
    print(
        f"{len(load.answered)} requests were answered during {ROTATIONS} rotations: "
        f"{len(missing)} lines are missing, {len(twice)} stand there twice; {rotated} parts"
    )
    for name in parts(log):
        status = os.stat(name)
        print(f"{name} {status.st_mode & 0o777:o} {status.st_uid}:{status.st_gid}")
    return 1 if missing or twice or rotated < ROTATIONS else 0


if __name__ == "__main__":
    sys.exit(main())
