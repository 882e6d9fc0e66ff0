# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Which scope opens which path for clients, and which paths are for operators only."""

from __future__ import annotations

from ..settings import Scope

_BY_RULE: dict[str, Scope] = {
    "/v1/embeddings": "embeddings",
    "/v1/rerank": "rerank",
    "/v1/chat/completions": "chat",
    "/v1/models": "models",
    "/v1/models/<path:name>": "models",
    "/predict": "predict",
    "/chat": "chat",
    "/chat/stream": "chat",
    "/ws": "chat",
    "/conversations": "chat",
    "/conversations/<identifier>": "chat",
}
_FOR_OPERATORS = frozenset({"metrics", "openapi.json", "docs", "playground"})


def scope_of(rule: str) -> Scope:
    """Return the scope of a client's path, by its rule; a path without one raises KeyError."""
    return _BY_RULE[rule]


def for_operators(path: str) -> bool:
    """Whether a path, or anything below it, is shown to operators only."""
    return path.lstrip("/").partition("/")[0] in _FOR_OPERATORS
