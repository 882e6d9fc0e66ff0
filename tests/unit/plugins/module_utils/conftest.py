# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of module_utils share: a tiny model, no waiting, and web servers."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import hypothesis
import pytest
from ansible_collections.modelops.serving.plugins.module_utils import _retry
from ansible_collections.modelops.serving.plugins.module_utils._manifest import Manifest
from ansible_collections.modelops.serving.plugins.module_utils._snapshot import Choice, Snapshot
from ansible_collections.modelops.serving.plugins.module_utils._store import Place
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    WHEEL,
    lock_of,
    make_source,
    ranged,
    weights,
    write,
)

# A busy machine is no failure: no test may depend on how long an example takes.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")


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


@pytest.fixture
def hub(hub_root, model_hub, model):
    """The test hub with the tiny model."""
    write(hub_root / "owner" / "name", model)
    return model_hub


@pytest.fixture
def place(tmp_path):
    """The tiny model's place in a store."""
    return Place(str(tmp_path / "store"), "modelscope", "owner/name", "v1.0.0")


@pytest.fixture
def present(hub, place):
    """Run once: ``present(check_mode=False, **Choice, endpoint=..., archive...)``."""

    def run(check_mode=False, at=place, endpoint=hub.url, retries=1, mirrors=(), **choice):
        source = make_source(
            at.source, endpoint, retries=retries, revision=at.revision, work=at.archive
        )
        return Snapshot(at, source, Choice(**choice), mirrors).present(check_mode)

    return run


@pytest.fixture
def wheel(model):
    """A wheel that holds the tiny model beside code."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny_model/__init__.py", "")
        for path, data in model.items():
            archive.writestr(f"tiny_model/assets/{path}", data)
        archive.writestr("tiny_model-1.0.dist-info/METADATA", "Name: tiny-model\n")
    return buffer.getvalue()


@pytest.fixture
def index(serve, wheel):
    """Start an index; its files lie on another host, with or without ranges.

    Returns (URL, requests there).
    """

    def start(form="html", names=(WHEEL,), hashed=True, listed=None, ranges=False):
        def whole(_path, _headers):
            return 200, {}, wheel

        files, downloads = serve(ranged(wheel) if ranges else whole)
        sha256 = listed or hashlib.sha256(wheel).hexdigest()
        links = [
            (name, f"{files}/f/{name}", f"#sha256={sha256}" if hashed else "") for name in names
        ]
        if form == "html":
            kind = "text/html"
            page = "".join(f'<a href="{url}{hash_}">{name}</a>' for name, url, hash_ in links)
        else:
            kind = "application/vnd.pypi.simple.v1+json"
            hashes = {"sha256": sha256} if hashed else {}
            entries = [
                {"filename": name, "url": url, "hashes": hashes, "size": len(wheel)}
                for name, url, _hash in links
            ]
            page = json.dumps({"files": entries})
        url, _seen = serve(
            lambda path, _headers: (
                (200, {"content-type": kind}, page.encode())
                if path == "/simple/tiny-model/"
                else (404, {}, b"")
            )
        )
        return f"{url}/simple/", downloads

    return start
