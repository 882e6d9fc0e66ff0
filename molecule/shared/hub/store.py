# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The plain HTTP store with its manifest, and the CDN behind the two hubs."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from .faults import LISTING
from .repository import Repository

if TYPE_CHECKING:
    from .exchange import Exchange

BRANCH = "main"


def answer(exchange: Exchange) -> bool:
    """Answer ``/store/<owner>/<name>/<revision>/<path>``; False for other paths."""
    parts = exchange.parts
    if parts[0] != "store" or len(parts) < 5:
        return False
    repository = exchange.hub.shelf.find(parts[1], parts[2], parts[3], BRANCH)
    if repository is None:
        return False
    if repository.is_private and not exchange.is_authorised:
        challenge = {"WWW-Authenticate": "Bearer"}
        return exchange.send_json({"error": "a token is needed"}, 401, challenge)
    path = "/".join(parts[4:])
    if path == "manifest.json":
        for status in (403, 500):
            if exchange.hub.faults.take(f"status_{status}", LISTING):
                return exchange.send_json({"error": "a fault of the test hub"}, status)
        return exchange.send_json(_manifest(exchange, repository, parts[3]))
    entry = repository.entry(path)
    if entry is None or entry.is_folder:
        return False
    return exchange.send_file(entry, {"ETag": f'"{entry.sha256}"'})


def _manifest(exchange: Exchange, repository: Repository, revision: str) -> dict[str, Any]:
    """Return the files in the shape of a lock, without what a lock knows about the model."""
    take = exchange.hub.faults.take
    return {
        "lock_version": 1,
        "source": "http",
        "id": repository.id,
        "revision": revision,
        "commit": repository.commit,
        "model": {},
        "files": [
            {
                "path": entry.path,
                "size": entry.size + int(take("wrong_size", entry.path)),
                "sha256": entry.sha256,
            }
            for entry in repository.entries()
            if not entry.is_folder
        ],
    }


def answer_cdn(exchange: Exchange) -> bool:
    """Answer ``/cdn/<owner>/<name>/<commit>/<path>`` when its signature is right."""
    parts = exchange.parts
    if parts[0] != "cdn" or len(parts) < 5:
        return False
    signed = exchange.signature(exchange.path.split("?", 1)[0])
    if not hmac.compare_digest(signed, exchange.query.get("auth_key", "")):
        return exchange.send_json({"error": "the signature does not match"}, 403)
    repository = exchange.hub.shelf.find(parts[1], parts[2], parts[3], BRANCH)
    entry = repository.entry("/".join(parts[4:])) if repository else None
    if entry is None or entry.is_folder:
        return False
    return exchange.send_file(entry, {"ETag": f'"{entry.sha256}"'})
