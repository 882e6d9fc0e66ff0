# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for models of every task: the real application, with canned answers of the model.

`$CANNED` is a folder of the test. Its `model.json` tells what the model offers; a stream stops
after its first words until the file `release` is there. Messages with an effect: `limit` is
answered 429, `break` fails within the stream.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fake_wsgi import app
from flask import Response, g, jsonify, request

from model_server.errors import InferenceFailed, InvalidCredentials, RateLimited
from support import KEY

FOLDER = Path(os.environ["CANNED"])
FIRST, REST = ["The ", "sea "], ["never ", "sleeps."]
_NAMES = {"Ada Lovelace": "PERSON", "London": "PLACE", "王芳": "PERSON", "北京大学": "ORGANISATION"}
_WAIT_SECONDS = 20


def models() -> Response:
    offered = json.loads((FOLDER / "model.json").read_text())
    model = {
        "id": "canned",
        "object": "model",
        "created": 1,
        "owned_by": "package",
        "revision": "1",
        "max_tokens": 512,
        "predict_tasks": [],
        **offered,
    }
    return jsonify({"object": "list", "data": [model]})


def labels() -> dict[str, Any]:
    scores = [("positive", 0.91), ("neutral", 0.07), ("negative", 0.02)]
    ranked = [{"label": label, "score": score} for label, score in scores]
    return {**ranked[0], "labels": ranked}


def entities(text: str) -> dict[str, Any]:
    found = [
        {"text": name, "type": kind, "start": start, "end": start + len(name), "score": 0.98}
        for name, kind in _NAMES.items()
        if (start := text.find(name)) >= 0
    ]
    return {"entities": found}


def answer(text: str) -> dict[str, Any]:
    start = text.index("May 1904")
    return {"answer": "May 1904", "start": start, "end": start + 8, "score": 0.875}


def predict() -> Response:
    body = request.get_json()
    text = body["input_text"]
    result = {
        "classification": labels,
        "sentiment": labels,
        "ner": lambda: entities(text),
        "qa": lambda: answer(text),
    }[body["task_type"]]()
    return jsonify({"result": {**result, "tokens": 9, "truncated": False}})


def rerank() -> Response:
    count = len(request.get_json()["documents"])
    results = [
        {"index": index, "relevance_score": (index + 1) / (count + 1)}
        for index in reversed(range(count))
    ]
    return jsonify({"id": "1", "model": "canned", "results": results, "usage": {"total_tokens": 9}})


def login() -> Response:
    """Sign `ada` in; her token is the key of the tests, which the application knows."""
    body = request.get_json()
    if body != {"username": "ada", "password": "right"}:
        raise InvalidCredentials("The user name or the password is wrong.")
    return jsonify({"access_token": KEY, "token_type": "Bearer", "expires_in": 3600})


def chat() -> Response:
    message = request.get_json()["messages"][-1]["content"]
    if message == "limit":
        raise RateLimited("Too many requests of this key.", retry_after=2)
    return Response(events(message, g.record.request_id), mimetype="text/event-stream")


def events(message: str, request_id: str) -> Iterator[str]:
    for word in FIRST:
        yield event(chunk(word))
    if message == "break":
        failure = InferenceFailed("The engine failed.")
        body = {"message": failure.message, "type": failure.type, "code": failure.code}
        yield event({"error": {**body, "param": None, "request_id": request_id}})
        return
    end = time.monotonic() + _WAIT_SECONDS
    while not (FOLDER / "release").exists() and time.monotonic() < end:
        time.sleep(0.02)
    for word in REST:
        time.sleep(0.05)
        yield event(chunk(word))
    usage = {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}
    yield event({**chunk(None, "stop"), "usage": usage})
    yield "data: [DONE]\n\n"


def chunk(text: str | None, finish_reason: str | None = None) -> dict[str, Any]:
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "canned"} | {
        "choices": [choice]
    }


def event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content)}\n\n"


def put(method: str, path: str, view: Callable[[], Response]) -> None:
    """Answer a path by a canned view, in place of the application's own if it has one."""
    for rule in app.url_map.iter_rules():
        if rule.rule == path and method in (rule.methods or ()):
            app.view_functions[rule.endpoint] = view
            return
    app.add_url_rule(path, f"canned.{view.__name__}", view, methods=[method])


put("GET", "/v1/models", models)
put("POST", "/login", login)
put("POST", "/predict", predict)
put("POST", "/v1/rerank", rerank)
put("POST", "/v1/chat/completions", chat)
