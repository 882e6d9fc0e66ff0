# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the model server: it answers every request on a Unix socket with what it received.

Usage: stand-in SOCKET
"""

from __future__ import annotations

import json
import socketserver
import sys
from http.server import BaseHTTPRequestHandler


class Echo(BaseHTTPRequestHandler):
    """Answer with the request as JSON; ``X-Answer`` asks for a status."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        """Read the body, then answer."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        seen = {"method": self.command, "path": self.path, "headers": dict(self.headers.items())}
        body = json.dumps(seen).encode()
        self.send_response(int(self.headers.get("X-Answer", 200)))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Request-ID", "of-the-server")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def address_string(self) -> str:
        """A Unix socket has no address of the client."""
        return "proxy"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """One thread for each connection."""

    daemon_threads = True


if __name__ == "__main__":
    Server(sys.argv[1], Echo).serve_forever()
