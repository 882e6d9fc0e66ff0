# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the model server: it answers every request on a Unix socket with what it received.

``/v1/chat/completions`` sends an event, and the next one only when another request asks for it;
``/ws`` is a WebSocket that sends each text back.

Usage: stand-in SOCKET
"""

from __future__ import annotations

import base64
import collections
import hashlib
import json
import select
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler

# RFC 6455, 1.3
WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
released: dict[str, threading.Event] = collections.defaultdict(threading.Event)
left: list[str] = []


class Echo(BaseHTTPRequestHandler):
    """Answer with the request as JSON; ``X-Answer`` asks for a status.

    ``X-Stream`` names a stream, and ``X-Release`` the one that may go on.
    """

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        """Read the body, then answer."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/v1/chat/completions":
            return self.stream(self.headers["X-Stream"])
        if self.headers.get("Upgrade"):
            return self.echo_texts()
        if "X-Release" in self.headers:
            released[self.headers["X-Release"]].set()
        headers = dict(self.headers.items())
        seen = {"method": self.command, "path": self.path, "headers": headers, "left": left}
        seen["socket"] = sys.argv[1]
        body = json.dumps(seen).encode()
        self.send_response(int(self.headers.get("X-Answer", 200)))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Request-ID", "of-the-server")
        self.send_header("X-Client-Name", "of-the-server")
        self.send_header("RateLimit", '"requests";r=3;t=5')
        self.end_headers()
        self.wfile.write(body)
        return None

    def stream(self, name: str) -> None:
        """Send two events in two steps; note whether the client left before the second."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.send_event("first")
        while not released[name].wait(0.05):
            if select.select([self.connection], [], [], 0)[0]:
                left.append(name)
                self.close_connection = True
                return
        self.send_event("second")
        self.wfile.write(b"0\r\n\r\n")

    def send_event(self, text: str) -> None:
        """Send an event as one chunk."""
        event = f"data: {text}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))

    def echo_texts(self) -> None:
        """Shake hands as RFC 6455 says, then send each frame of at most 125 bytes back."""
        key = self.headers["Sec-WebSocket-Key"] + WEBSOCKET_GUID
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest())
        self.send_header("Sec-WebSocket-Accept", accept.decode())
        self.end_headers()
        self.close_connection = True
        while head := self.rfile.read(2):
            length = head[1] & 0x7F
            mask, masked = self.rfile.read(4), self.rfile.read(length)
            text = bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))
            self.wfile.write(bytes([head[0], length]) + text)

    do_GET = do_POST = answer

    def address_string(self) -> str:
        """A Unix socket has no address of the client."""
        return "proxy"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """One thread for each connection."""

    daemon_threads = True
    # As many may wait as a burst brings.
    request_queue_size = 128


if __name__ == "__main__":
    Server(sys.argv[1], Echo).serve_forever()
