# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the edge may route for a task; every other path is answered 404 by the edge itself."""

from __future__ import annotations

from typing import Any


def _route(
    path: str, method: str, access: str = "clients", limited: bool = True, match: str = "exact"
) -> dict[str, Any]:
    return {"path": path, "match": match, "methods": [method], "access": access, "limited": limited}


_EVERY_TASK = [
    _route("/predict", "POST"),
    _route("/v1/models", "GET"),
    _route("/v1/models/", "GET", match="prefix"),
    _route("/health", "GET", limited=False),
    _route("/ready", "GET", limited=False),
    _route("/metrics", "GET", access="operators", limited=False),
    _route("/openapi.json", "GET", access="operators", limited=False),
]

_BY_TASK = {"embedding": [_route("/v1/embeddings", "POST")]}


def routes_for(task: str) -> list[dict[str, Any]]:
    """Return the routes of ``task``: path, match (exact or prefix), methods, access, limited."""
    return _BY_TASK[task] + _EVERY_TASK
