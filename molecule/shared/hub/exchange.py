# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""One request and its answer: JSON, a redirect to the CDN, or a file with Range and faults."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import socket
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from . import control, huggingface, modelscope, store
from .repository import Entry, Repository

if TYPE_CHECKING:
    from .server import Hub

CLOSED_PORT = 9  # "discard": a service that no machine offers today
SLOW_SECONDS = 0.05  # between two pieces of a slow body
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Exchange(BaseHTTPRequestHandler):
    """The request handler; ``hub`` is set by the server on a subclass."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: the journal keeps what was asked."""

    def do_GET(self) -> None:
        """Read the request, let the first protocol that knows its path answer it."""
        address = urlsplit(self.path)
        self.query = dict(parse_qsl(address.query, keep_blank_values=True))
        self.parts = [unquote(part) for part in address.path.strip("/").split("/")]
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._authorised: bool | None = None
        self.host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
        if self.host == self.hub.cdn_host:
            routes = [store.answer_cdn]
        else:
            routes = [control.answer, modelscope.answer, store.answer, huggingface.answer]
        if not any(route(self) for route in routes):
            self.send_json({"error": "no such address on the test hub"}, 404)

    do_HEAD = do_POST = do_DELETE = do_GET

    # -- who asks ---------------------------------------------------------------------------------

    @property
    def credentials(self) -> list[str]:
        """Where this request carries a credential: names of headers, ``url`` or ``body``."""
        token = self.hub.token
        places = [
            name
            for name, value in self.headers.items()
            if name.lower() == "authorization" or token in value or "m_session_id=" in value
        ]
        if token in self.path:
            places.append("url")
        if token.encode() in self.body:
            places.append("body")
        return places

    @property
    def is_authorised(self) -> bool:
        """Whether the right token came, as a bearer or as ModelScope's cookie, and still holds."""
        if self._authorised is None:
            bearer = self.headers.get("Authorization") == f"Bearer {self.hub.token}"
            cookie = f"m_session_id={self.hub.token}" in (self.headers.get("Cookie") or "")
            self._authorised = (bearer or cookie) and self.hub.use_token()
        return self._authorised

    # -- answers ----------------------------------------------------------------------------------

    def send_json(
        self, content: Any, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> bool:
        """Answer with JSON; returns True, so that a route can end with it."""
        body = json.dumps(content).encode()
        self._record(status)
        self._send_head(status, {"Content-Type": "application/json", **(headers or {})}, len(body))
        if self.command != "HEAD":
            self.wfile.write(body)
        return True

    def send_to_cdn(
        self, repository: Repository, entry: Entry, headers: Mapping[str, str] | None = None
    ) -> bool:
        """Redirect to the CDN's host name, with a signature in place of a token."""
        path = f"/cdn/{repository.id}/{repository.commit}/{quote(entry.path)}"
        host = self.hub.cdn_url
        if self.hub.faults.take("lost_redirect", entry.path):
            host = f"http://{self.hub.cdn_host}:{CLOSED_PORT}"
        location = f"{host}{path}?auth_key={self.signature(path)}"
        self._record(302)
        self._send_head(302, {**(headers or {}), "Location": location}, 0)
        return True

    def signature(self, path: str) -> str:
        """Return what signs a CDN path, as a presigned address of an object store."""
        return hmac.new(self.hub.token.encode(), path.encode(), hashlib.sha256).hexdigest()[:16]

    def send_file(self, entry: Entry, headers: Mapping[str, str]) -> bool:
        """Answer with a file's bytes, or the asked range of them, and the armed faults."""
        faults, path = self.hub.faults, entry.path
        if self.command == "GET":
            for kind, status in (("status_403", 403), ("status_500", 500), ("vanish", 404)):
                if faults.take(kind, path):
                    return self.send_json({"error": "a fault of the test hub"}, status)
        start, stop = self._asked_range(entry, headers.get("ETag", ""))
        if start is None:
            self._record(416)
            self._send_head(416, {"Content-Range": f"bytes */{entry.size}"}, 0)
            return True
        head = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", **headers}
        if stop is None:
            status, stop = 200, entry.size
        else:
            status = 206
            head["Content-Range"] = f"bytes {start}-{stop - 1}/{entry.size}"
        shown, end = [], start
        if self.command == "GET":
            shown = [kind for kind in ("cut", "corrupt", "stall") if faults.take(kind, path)]
            end = start + (stop - start) // 2 if {"cut", "stall"} & set(shown) else stop
        self._record(status, sent=end - start, faults=shown)
        self._send_head(status, head, stop - start)
        self._send_bytes(entry, start, end, shown)
        return True

    def _asked_range(self, entry: Entry, etag: str) -> tuple[int | None, int | None]:
        """Return (start, stop) of the Range asked for; stop None: whole file; start None: 416."""
        asked = _RANGE.fullmatch(self.headers.get("Range") or "")
        if asked is None or asked.group(0) == "bytes=-":
            return 0, None
        condition = self.headers.get("If-Range")
        if condition not in (None, etag) or self.hub.faults.take("no_range", entry.path):
            return 0, None
        first, last = asked.groups()
        if not first:
            return max(0, entry.size - int(last)), entry.size
        if int(first) >= entry.size:
            return None, None
        return int(first), min(int(last) + 1, entry.size) if last else entry.size

    def _send_bytes(self, entry: Entry, start: int, end: int, shown: list[str]) -> None:
        try:
            with entry.file.open("rb") as stream:
                if "corrupt" in shown and end > start:
                    stream.seek(start)
                    self.wfile.write(bytes([stream.read(1)[0] ^ 0xFF]))
                    start += 1
                if self.hub.bytes_per_second:
                    self._send_slowly(stream, start, end)
                elif end > start:
                    # By the kernel, so that a benchmark measures the client and not this program.
                    self.connection.sendfile(stream, start, end - start)
            if "stall" in shown:
                self.hub.stopping.wait(self.hub.stall_seconds)
            if {"cut", "stall"} & set(shown):
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:  # the client has left
            self.close_connection = True

    def _send_slowly(self, stream: IO[bytes], start: int, end: int) -> None:
        step = max(1, int(self.hub.bytes_per_second * SLOW_SECONDS))
        stream.seek(start)
        for position in range(start, end, step):
            if self.hub.stopping.wait(SLOW_SECONDS):
                self.close_connection = True
                return
            self.wfile.write(stream.read(min(step, end - position)))

    def _send_head(self, status: int, headers: Mapping[str, str], length: int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _record(self, status: int, **more: Any) -> None:
        """Write to the journal, before the answer leaves: who has the answer finds the record."""
        kept = ("Range", "User-Agent", "Accept-Encoding")
        self.hub.journal.add(
            {
                "method": self.command,
                "host": self.host,
                "path": self.path,
                "status": status,
                "credentials": self.credentials,
                "headers": {name: self.headers[name] for name in kept if name in self.headers},
                **more,
            }
        )
