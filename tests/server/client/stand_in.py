# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for a service that offers everything, with fixed answers."""

from __future__ import annotations

import json
from typing import Any

from flask import Flask, Response, request
from flask_sock import Sock

from driver import CARD, CHAT, COST, ENTITY, KEY, RERANK, WHOLE, failure, ok, vectors

RESULTS: dict[str, Any] = {
    "similarity": {"similarity": 0.5, **COST},
    "ner": {"entities": [ENTITY], **COST},
    "embedding": {"embedding": [1.0], **COST},
    "classification": {"label": "x", "score": 1.0, "labels": [], **COST},
    "qa": {"answer": "Ada", "start": 0, "end": 3, "score": 0.9, **COST},
}


def stand_in(offered: set[str]) -> Flask:
    """The routes that the client calls; `offered` are the tasks of /predict."""
    app = Flask("stand_in")

    @app.before_request
    def need_key() -> Any:
        if request.path in ("/health", "/ready", "/login"):
            return None
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return send(failure(401, "invalid_api_key"))
        return None

    @app.get("/health")
    def health() -> Any:
        return {"status": "ok"}

    @app.get("/ready")
    def ready() -> Any:
        return {"status": "ready", "model": CARD["id"], "release": "r"}

    @app.post("/login")
    def login() -> Any:
        return {"access_token": KEY, "token_type": "Bearer", "expires_in": 60}

    @app.post("/v1/rerank")
    def rerank() -> Any:
        return RERANK

    @app.get("/v1/models")
    def models() -> Any:
        return {"object": "list", "data": [CARD | {"object": "model"}]}

    @app.post("/v1/embeddings")
    def embeddings() -> Any:
        texts = request.get_json()["input"]
        rows = [[1.0, float(index)] for index in range(len(texts))]
        return send(vectors(*rows, x_vector_space="sha256:1"))

    @app.post("/predict")
    def predict() -> Any:
        task = request.get_json()["task_type"]
        if task in offered:
            return {"result": RESULTS[task]}
        body = failure(404, "task_not_offered").json()
        body["error"]["details"] = {"offered": sorted(offered)}
        return body, 404

    @app.post("/v1/chat/completions")
    def chat() -> Any:
        if request.get_json().get("stream"):
            return Response(iter(WHOLE), content_type="text/event-stream")
        return send(ok(CHAT | {"object": "chat.completion"}))

    def ws(connection: Any) -> None:
        while True:
            turns = len(json.loads(connection.receive())["history"])
            connection.send(json.dumps({"type": "delta", "text": f"after {turns}"}))
            usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
            connection.send(json.dumps({"type": "end", "finish_reason": "stop", "usage": usage}))

    Sock(app).route("/ws")(ws)
    return app


def send(answer: Any) -> Response:
    return Response(answer.content, status=answer.status_code, headers=dict(answer.headers))
