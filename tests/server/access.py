# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Doors, credentials and a Redis for the tests of who may call, and how much."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from model_server.credentials import Credentials
from model_server.security.access import Access
from model_server.settings import Settings
from support import key_hash, settings_content

HERE = "127.0.0.1"
PASSWORD = "correct horse"
# scrypt of PASSWORD, as cheap as credentials may hold, so that tests are quick.
CHEAP_HASH = (
    "scrypt:1024:8:1$salt$"
    "fa344bb561aac1b53346f30de3ed6e5cf12efb948f6e430fc80ec4e82c0e8cab"
    "bdb4d9f922912a02c075378863e4d989dba63456f4dcff1cc5ac8c76e70a62c9"
)
ALICE = {"name": "alice", "password_hash": CHEAP_HASH}
SIGNING = [{"kid": "new", "secret": "n" * 64}, {"kid": "old", "secret": "o" * 64}]
SIGN_IN = {"users": [ALICE], "signing_keys": SIGNING}
BOTH = {"methods": ["api_key", "jwt"]}


def api_key(key: str, name: str = "demo", **fields: Any) -> dict[str, Any]:
    """An entry of `api_keys`."""
    return {"name": name, "sha256": key_hash(key), **fields}


def credentials_of(**content: Any) -> Credentials:
    """Credentials as they are read from their file."""
    return Credentials.model_validate_json(json.dumps(content))


def access_of(
    content: dict[str, Any] | None = None,
    clock: Callable[[], float] = time.time,
    **sections: Any,
) -> Access:
    """A door for credentials and changed sections of the settings."""
    settings = Settings.model_validate_json(
        json.dumps(settings_content(Path("/nowhere"), **sections))
    )
    return Access(settings, credentials_of(**(content or {"api_keys": [api_key("k")]})), clock)


class RedisServer:
    """A Redis of the test's own, on a Unix socket, without files."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "redis.sock"
        self.uri = f"redis+unix://{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Start, and wait until it answers."""
        command = ["redis-server", "--port", "0", "--unixsocket", str(self.socket)]
        command += ["--save", "", "--appendonly", "no", *options]
        try:
            self.process = subprocess.Popen(
                command, cwd=self.socket.parent, stdout=subprocess.DEVNULL
            )
        except FileNotFoundError:
            pytest.fail("redis-server is missing; install Debian's package redis-server")
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                self.client().ping()
            except redis.AuthenticationError:
                return
            except redis.RedisError:
                time.sleep(0.02)
            else:
                return
        pytest.fail("redis-server does not answer")

    def client(self) -> redis.Redis:
        """A client of the test."""
        return redis.Redis(unix_socket_path=str(self.socket), retry=Retry(NoBackoff(), 0))

    def kill(self) -> None:
        """End it at once, as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=30)
            self.process = None
