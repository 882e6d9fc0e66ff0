# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the edge may route for a service; every other path is answered 404 by the edge itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Route = dict[str, Any]


def _route(
    path: str,
    *methods: str,
    match: str = "exact",
    access: str = "clients",
    limited: bool = True,
    stream: bool = False,
    websocket: bool = False,
    guarded: bool = True,
) -> Route:
    return {
        "path": path,
        "match": match,
        "methods": list(methods),
        "access": access,
        "limited": limited,
        "stream": stream,
        "websocket": websocket,
        "guarded": guarded,
    }


def _probe(path: str) -> Route:
    """Load balancers and monitors ask for it; they have neither an allowance nor a password."""
    return _route(path, "GET", limited=False, guarded=False)


def _operations(path: str, match: str = "exact") -> Route:
    return _route(path, "GET", match=match, access="operators", limited=False)


_EVERY_TASK = [
    _route("/predict", "POST"),
    _route("/v1/models", "GET"),
    _route("/v1/models/", "GET", match="prefix"),
    _probe("/health"),
    _probe("/healthz"),
    _probe("/ready"),
    _operations("/metrics"),
    _operations("/openapi.json"),
    _operations("/docs"),
    _operations("/playground"),
    _operations("/playground/", match="prefix"),
]
_BY_TASK = {
    "embedding": [_route("/v1/embeddings", "POST")],
    "rerank": [_route("/v1/rerank", "POST")],
    "chat": [
        _route("/v1/chat/completions", "POST", stream=True),
        _route("/chat", "POST"),
        _route("/chat/stream", "POST", stream=True),
        _route("/ws", "GET", websocket=True),
    ],
}
_LOGIN = _route("/login", "POST")
_CONVERSATIONS = [
    _route("/conversations", "GET", "DELETE"),
    _route("/conversations/", "GET", "DELETE", match="prefix"),
]


def routes_for(service: Mapping[str, Any]) -> list[Route]:
    """Return the routes of ``service``, which is complete.

    Each has ``path``, ``match`` (exact or prefix), ``methods``, ``access`` (clients or operators),
    ``limited`` (whether rates apply), ``stream`` (the answer comes in events that nothing may
    buffer), ``websocket``, and ``guarded`` (whether ``basic_auth`` asks for a password). A task
    that is still ``auto`` adds none of its own.
    """
    routes = [*_BY_TASK.get(service["task"], []), *_EVERY_TASK]
    if "jwt" in service["authentication"]["methods"]:
        routes.append(_LOGIN)
    if service["task"] == "chat" and service["conversations"]["keep"]:
        routes += _CONVERSATIONS
    return [{**route, "methods": list(route["methods"])} for route in routes]
