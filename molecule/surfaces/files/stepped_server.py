# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Stand-in for an OpenAI-compatible server that answers word by word, each when it is told to.

Usage: stepped_server.py PORT

`POST /v1/chat/completions` streams a word for each `POST /step`, and ends after WORDS of them; the
very short answers of a canary (at most 4 tokens) come at once. After `POST /block` nothing is
answered any more, until somebody asks for the models, as a server does that starts anew.
`GET /state` tells how many words were sent and how many streams the caller closed before their end.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORDS = 4
MODEL = "stepped"
CANARY_TOKENS = 4


class Stepper:
    """What was released, and what became of the streams."""

    def __init__(self) -> None:
        self.released = threading.Semaphore(0)
        self.open = threading.Event()
        self.open.set()
        self.sent = 0
        self.aborted = 0


STEPPER = Stepper()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Tell the models, or the state."""
        if self.path == "/v1/models":
            STEPPER.open.set()
            self._json({"object": "list", "data": [{"id": MODEL, "object": "model"}]})
        else:
            self._json({"sent": STEPPER.sent, "aborted": STEPPER.aborted})

    def do_POST(self) -> None:
        """Stream an answer, or release a word."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/step":
            STEPPER.released.release()
            self._json({})
            return
        if self.path == "/block":
            STEPPER.open.clear()
            self._json({})
            return
        STEPPER.open.wait()
        asked = json.loads(body)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            self._stream(stepped=asked.get("max_tokens", WORDS) > CANARY_TOKENS)
        except OSError:
            STEPPER.aborted += 1

    def _stream(self, *, stepped: bool) -> None:
        for number in range(WORDS):
            while stepped and not STEPPER.released.acquire(timeout=0.1):
                # A comment: how a server finds out that nobody listens any more.
                self._write(": waiting\n\n")
            self._event({"delta": {"content": f"word{number} "}, "finish_reason": None})
            STEPPER.sent += stepped
        self._event({"delta": {}, "finish_reason": "stop"})
        usage = {"prompt_tokens": 3, "completion_tokens": WORDS, "total_tokens": 3 + WORDS}
        self._write(f"data: {json.dumps(self._chunk([], usage))}\n\ndata: [DONE]\n\n")

    def _event(self, choice: dict[str, object]) -> None:
        self._write(f"data: {json.dumps(self._chunk([{'index': 0, **choice}], None))}\n\n")

    @staticmethod
    def _chunk(choices: list[object], usage: object) -> dict[str, object]:
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": MODEL,
            "choices": choices,
            "usage": usage,
        }

    def _write(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.wfile.flush()

    def _json(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
