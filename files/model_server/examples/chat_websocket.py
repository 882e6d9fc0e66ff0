# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A chat of two turns over one WebSocket (`pip install "httpx2[ws]"`)."""

from __future__ import annotations

import ssl
import sys
from typing import Any

import httpx2
from arguments import run

QUESTIONS = ["Name a colour of the rainbow.", "And another one?"]
SECONDS = 120


def main(url: str, key: str | None, ca: str | None) -> None:
    """Print both answers as they are made; the second question knows the first answer."""
    address = "ws" + url.rstrip("/").removeprefix("http") + "/ws"
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    context = ssl.create_default_context(cafile=ca)
    history: list[dict[str, str]] = []
    with httpx2.websocket(address, headers=headers, verify=context) as socket:
        for question in QUESTIONS:
            socket.send_json({"message": question, "history": history, "max_tokens": 64})
            print(f"question: {question}\nanswer: ", end="")
            answer = print_answer(socket)
            history += [
                {"role": "user", "content": question},
                {"role": "assistant", "content": answer},
            ]


def print_answer(socket: Any) -> str:
    """Print events until the end of an answer; return its text."""
    texts: list[str] = []
    while True:
        event = socket.receive_json(timeout=SECONDS)
        if "error" in event:
            sys.exit(f"refused: {event['error']['code']}: {event['error']['message']}")
        if event["type"] == "end":
            tokens = event["usage"]["completion_tokens"]
            print(f"\nended by {event['finish_reason']} after {tokens} tokens")
            return "".join(texts)
        texts.append(event["text"])
        print(event["text"], end="", flush=True)


if __name__ == "__main__":
    run(main, __doc__)
