# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of module_utils share: a tiny model, no waiting, and web servers."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.modelops.serving.plugins.module_utils import _retry
from ansible_collections.modelops.serving.plugins.module_utils._manifest import Manifest
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    lock_of,
    weights,
)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Attempts follow each other at once."""
    monkeypatch.setattr(_retry, "BASE_SECONDS", 0.0)


@pytest.fixture
def model():
    """The files of a tiny model, by path."""
    return {
        "1_Pooling/config.json": b'{"pooling_mode_mean_tokens": true}',
        "README.md": "A tiny model, 小模型\n".encode(),
        "config.json": b'{"architectures": ["BertModel"], "hidden_size": 4}',
        "model.safetensors": weights(),
    }


@pytest.fixture
def lock(model):
    """The lock of the tiny model from ModelScope."""
    return Manifest.from_dict(lock_of(model))


@pytest.fixture
def serve():
    """Start web servers: ``serve(answer)`` returns the URL and the list of requests it got.

    ``answer(path, headers)`` returns (status, headers, body).
    """
    servers = []

    def start(answer):
        seen = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                seen.append((self.path, dict(self.headers)))
                status, headers, body = answer(self.path, self.headers)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = True

            def log_message(self, *_args):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}", seen

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
