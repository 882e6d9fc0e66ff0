# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the tutorial's Flask application: it answers every path with what it received.

``/v1/chat/completions`` sends one event, and the next one five seconds later.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from flask import Flask, Response, jsonify, request

app = Flask(__name__)
METHODS = ["GET", "POST", "PUT", "DELETE"]


@app.route("/", defaults={"path": ""}, methods=METHODS)
@app.route("/<path:path>", methods=METHODS)
def answer(path: str) -> Response:
    """Read the body, then answer."""
    request.get_data()
    if path == "v1/chat/completions":
        return Response(events(), mimetype="text/event-stream")
    return jsonify(method=request.method, path=f"/{path}", headers=dict(request.headers.items()))


def events() -> Iterator[str]:
    """Send two events, some time apart."""
    yield "data: first\n\n"
    time.sleep(5)
    yield "data: second\n\n"
