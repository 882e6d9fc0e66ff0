# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Every kind of request to a server that embeds and to one that chats, with random texts."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from itertools import islice
from typing import Any

from access import ALICE, PASSWORD
from fakes import word_id
from gunicorn_process import Gunicorn

Answer = tuple[int, dict[str, str], Any]
Call = Callable[[Gunicorn, random.Random], Answer]

# The fake engine knows words by a short hash; a made-up one may be taken for one with an effect.
_EFFECTS = {word_id(word) for word in ("poison", "nan", "die", "slow")}
# A server checks two passwords at once and refuses more.
_ONE_LOGIN = threading.Lock()


def _words(chance: random.Random, count: int) -> str:
    made_up = iter(lambda: f"w{chance.randrange(10**9)}", None)
    return " ".join(islice((word for word in made_up if word_id(word) not in _EFFECTS), count))


def _embed(server: Gunicorn, texts: Any) -> Answer:
    body = {"model": "all-MiniLM-L6-v2", "input": texts}
    return server.request("POST", "/v1/embeddings", body)


def _complete(server: Gunicorn, *texts: Any) -> Answer:
    messages = [{"role": "user", "content": text} for text in texts]
    return server.request("POST", "/v1/chat/completions", {"model": "smol", "messages": messages})


def _stream(server: Gunicorn, path: str, body: dict[str, Any], last: str) -> Answer:
    """Read a stream to its end, and look whether that is the right one."""
    status, headers, content = server.exchange("POST", path, body)
    events = content.decode()
    assert last in events.rstrip().rpartition("\n\n")[2], events
    return status, headers, events


def _stream_completion(server: Gunicorn, text: str, last: str) -> Answer:
    body = {
        "model": "smol",
        "messages": [{"role": "user", "content": text}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return _stream(server, "/v1/chat/completions", body, last)


def _chat(server: Gunicorn, text: str, **fields: Any) -> Answer:
    return server.request("POST", "/chat", {"message": text, **fields})


def _continue_chat(server: Gunicorn, chance: random.Random) -> Answer:
    """Begin a kept conversation, go on with it, and delete it."""
    _status, _headers, first = _chat(server, _words(chance, 5))
    conversation = first["conversation_id"]
    answer = _chat(server, _words(chance, 5), conversation_id=conversation)
    status, _headers, body = server.request("DELETE", f"/conversations/{conversation}")
    assert status == 200, body
    return answer


def _log_in(server: Gunicorn, user: str, password: str) -> Answer:
    with _ONE_LOGIN:
        return server.request("POST", "/login", {"username": user, "password": password})


def _chat_with_token(server: Gunicorn, chance: random.Random) -> Answer:
    token = _log_in(server, ALICE["name"], PASSWORD)[2]["access_token"]
    body = {"message": _words(chance, 5)}
    return server.request("POST", "/chat", body, Authorization=f"Bearer {token}")


_REFUSED: list[tuple[int, Call]] = [
    (401, lambda server, chance: server.request("GET", "/v1/models", Authorization="Bearer no")),
    (404, lambda server, chance: server.request("GET", f"/{_words(chance, 1)}")),
]

# Every kind of request, and the status of its answer.
EMBEDDING: list[tuple[int, Call]] = [
    (200, lambda server, chance: _embed(server, _words(chance, 1))),
    (200, lambda server, chance: _embed(server, [_words(chance, 12) for _text in range(8)])),
    (200, lambda server, chance: _embed(server, _words(chance, 100))),
    (
        200,
        lambda server, chance: server.request(
            "POST", "/predict", {"task_type": "embedding", "input_text": _words(chance, 5)}
        ),
    ),
    (200, lambda server, chance: server.request("GET", "/v1/models")),
    (200, lambda server, chance: server.request("GET", "/ready")),
    *_REFUSED,
    (405, lambda server, chance: server.request("DELETE", "/predict")),
    (413, lambda server, chance: _embed(server, [_words(chance, 1)] * 9)),
    (422, lambda server, chance: _embed(server, chance.randrange(10**9))),
    (500, lambda server, chance: _embed(server, f"poison {_words(chance, 2)}")),
]

CHAT: list[tuple[int, Call]] = [
    (200, lambda server, chance: _complete(server, _words(chance, 5))),
    (200, lambda server, chance: _complete(server, *(_words(chance, 20) for _turn in range(5)))),
    (200, lambda server, chance: _stream_completion(server, _words(chance, 20), "[DONE]")),
    (200, lambda server, chance: _stream_completion(server, "one fail", "engine_error")),
    (200, lambda server, chance: _chat(server, _words(chance, 20), max_tokens=8)),
    (200, _continue_chat),
    (
        200,
        lambda server, chance: _stream(
            server, "/chat/stream", {"message": _words(chance, 20)}, '"type":"end"'
        ),
    ),
    (200, _chat_with_token),
    (401, lambda server, chance: _log_in(server, ALICE["name"], _words(chance, 1))),
    (401, lambda server, chance: _log_in(server, _words(chance, 1), PASSWORD)),
    *_REFUSED,
    (422, lambda server, chance: _complete(server, chance.randrange(10**9))),
    (422, lambda server, chance: _complete(server, f"{_words(chance, 5)} long")),
    (500, lambda server, chance: _chat(server, f"fail {_words(chance, 2)}")),
]
