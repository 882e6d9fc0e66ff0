# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A gunicorn that other programs reach by a port: a browser, schemathesis."""

from __future__ import annotations

import base64
import http.client
import re
from typing import Any, ClassVar

from gunicorn_process import Gunicorn


class PortGunicorn(Gunicorn):
    """gunicorn on a free port of the loopback address."""

    bind = "127.0.0.1:0"
    secrets: ClassVar[dict[str, Any]] = {
        "users": [{"name": "ada", "password_hash": "scrypt:32768:8:1$salt$00"}],
        "signing_keys": [{"kid": "1", "secret": "s" * 32}],
        "conversation_keys": [{"version": "1", "key": base64.b64encode(bytes(32)).decode()}],
    }

    @property
    def origin(self) -> str:
        """Where a browser finds it; raises OSError before it listens."""
        found = re.search(r"http://127\.0\.0\.1:\d+", self.log.read_text())
        if found is None:
            raise OSError("it does not listen yet")
        return found[0]

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.origin.removeprefix("http://"), timeout=60)
