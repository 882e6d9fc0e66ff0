# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Calls that a reader can copy: a body for each operation that takes one, and its command."""

from __future__ import annotations

import json
from typing import Any

Body = dict[str, Any]

_MESSAGE = "Write a haiku about the sea."
_PREDICT: dict[str, Body] = {
    "embedding": {"task_type": "embedding", "input_text": "How do I reset my password?"},
    "classification": {"task_type": "classification", "input_text": "The staff were wonderful."},
    "token_classification": {"task_type": "ner", "input_text": "Ada Lovelace lived in London."},
    "question_answering": {
        "task_type": "qa",
        "input_text": "The bridge was opened in May 1904.",
        "question": "When was the bridge opened?",
    },
}
_STREAMS = {"POST /chat/stream"}
_WEBSOCKET = """\
import os
from simple_websocket import Client

socket = Client("{address}", headers={{"Authorization": f"Bearer {{os.environ['KEY']}}"}})
socket.send('{body}')
while '"end"' not in (event := socket.receive()):
    print(event)
"""


def body(operation: str, task: str, model: str) -> Body | None:
    """Return a body that the operation, such as `POST /predict`, accepts on a service of a task."""
    bodies: dict[str, Body] = {
        "POST /v1/embeddings": {"model": model, "input": ["How do I reset my password?", "Hello"]},
        "POST /v1/rerank": {
            "model": model,
            "query": "How long does delivery take?",
            "documents": ["Parcels arrive within three days.", "Returns are free."],
        },
        "POST /v1/chat/completions": {
            "model": model,
            "messages": [{"role": "user", "content": _MESSAGE}],
        },
        "POST /predict": _PREDICT.get(task, _PREDICT["embedding"]),
        "POST /chat": {"message": _MESSAGE},
        "POST /chat/stream": {"message": _MESSAGE},
        "GET /ws": {"message": _MESSAGE},
        "POST /login": {"username": "ada", "password": "your password"},
    }
    return bodies.get(operation)


def command(
    operation: str, url: str, content: Body | None, *, key: bool, websocket: bool = False
) -> str:
    """Return the shell command for an operation; Python for a WebSocket, which curl cannot do."""
    method, path = operation.split(" ", 1)
    text = json.dumps(content, ensure_ascii=False)
    if websocket:
        return _WEBSOCKET.format(address=url.replace("http", "ws", 1) + path, body=text)
    words = ["curl -N" if operation in _STREAMS else "curl"]
    if method not in ("GET", "POST"):
        words[0] += f" -X {method}"
    parts = [f"{words[0]} '{url}{path}'"]
    if key:
        parts.append('-H "Authorization: Bearer $KEY"')
    if content is not None:
        parts.append("-H 'Content-Type: application/json'")
        parts.append("-d '" + text.replace("'", "'\\''") + "'")
    return " \\\n  ".join(parts)
