# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A real gunicorn with the product's configuration, on a Unix socket."""

from __future__ import annotations

import http.client
import importlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import openai
import pytest

from support import AUTHORIZED, KEY, key_hash

HERE = Path(__file__).resolve().parent
SERVER = HERE.parents[1] / "files" / "model_server"
START_SECONDS = 60


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Gunicorn:
    """One process under test. `secrets` are those beside its API key."""

    secrets: ClassVar[dict[str, Any]] = {}

    @property
    def bind(self) -> str:
        """Where gunicorn listens."""
        return f"unix:{self.socket}"

    def connect(self) -> http.client.HTTPConnection:
        """Make a connection to it."""
        return UnixConnection(self.socket)

    def __init__(self, folder: Path, application: str, content: dict[str, Any], **env: str) -> None:
        self.socket = folder / "http.sock"
        self.home = folder / "home"
        self.home.mkdir()
        self.log = folder / "log"
        (folder / "settings.json").write_text(json.dumps(content))
        keys = {"api_keys": [{"name": "demo", "sha256": key_hash(KEY)}]}
        (folder / "secrets.json").write_text(json.dumps(keys | self.secrets))
        environment = {
            **os.environ,
            "HOME": str(self.home),
            "MODEL_SERVER_SETTINGS": str(folder / "settings.json"),
            "CREDENTIALS_DIRECTORY": str(folder),
            "PYTHONPATH": os.pathsep.join(map(str, (SERVER, HERE, HERE / "live"))),
            **env,
        }
        environment.pop("XDG_RUNTIME_DIR", None)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "gunicorn"),
                    *("--config", "python:model_server.gunicorn_conf"),
                    *("--bind", self.bind, application),
                ],
                env=environment,
                cwd=folder,
                stdout=log,
                stderr=log,
            )

    def request(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        """Send one request; return status, headers and JSON."""
        status, sent, content = self.exchange(method, path, body, **headers)
        return status, sent, json.loads(content)

    def exchange(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request on a connection of its own; return status, headers and body."""
        connection = self.connect()
        try:
            data = body if body is None or hasattr(body, "__next__") else json.dumps(body)
            connection.request(
                method,
                path,
                data,
                {**AUTHORIZED, "Content-Type": "application/json", **headers},
                encode_chunked=hasattr(body, "__next__"),
            )
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()
        finally:
            connection.close()

    def embed(self, texts: Any) -> tuple[int, dict[str, str], Any]:
        """POST to /v1/embeddings."""
        return self.request("POST", "/v1/embeddings", {"model": "all-MiniLM-L6-v2", "input": texts})

    @property
    def worker(self) -> int | None:
        """Process id of the worker; None while there is none."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else None

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition, failing with the log when the process ends or time is up."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                if condition():
                    return
            except OSError:
                pass
            time.sleep(0.05)
        pytest.fail(f"condition not met; log:\n{self.log.read_text()}")

    def wait_ready(self) -> None:
        """Wait until /ready answers 200."""
        self.wait_until(lambda: self.request("GET", "/ready")[0] == 200)

    def lines(self) -> list[dict[str, Any]]:
        """The log; every line must be JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def close(self) -> None:
        """End the process."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(timeout=30)


def openai_client(server: Gunicorn, key: str = KEY) -> openai.OpenAI:
    """The official client, on the server's socket."""
    # openai names its HTTP library nowhere, and has changed it before.
    library = importlib.import_module(openai.DefaultHttpxClient.__base__.__module__.split(".")[0])
    http = openai.DefaultHttpxClient(transport=library.HTTPTransport(uds=str(server.socket)))
    return openai.OpenAI(api_key=key, base_url="http://localhost/v1", http_client=http)


Start = Callable[..., Gunicorn]
