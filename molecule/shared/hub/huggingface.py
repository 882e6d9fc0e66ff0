# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Hugging Face's protocol, as huggingface_hub 2.4 speaks it; a stand-in.

Small files carry their Git blob SHA-1 as ETag, large ones their SHA-256 as X-Linked-Etag beside a
redirect. ``/api/agent-harnesses`` is answered with 404, which the client tolerates.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode

from .faults import LISTING
from .repository import Entry, Repository

if TYPE_CHECKING:
    from .exchange import Exchange

BRANCH = "main"
PAGE_ENTRIES = 1000
_TIME = "2024-01-01T00:00:00.000Z"


def answer(exchange: Exchange) -> bool:
    """Answer Hugging Face's addresses; False when the path is none of them."""
    parts = exchange.parts
    if parts[:2] == ["api", "models"] and len(parts) >= 4:
        return _api(exchange, parts[2], parts[3], parts[4:])
    if len(parts) >= 5 and parts[2] == "resolve":
        repository = _repository(exchange, parts[0], parts[1], parts[3])
        return repository is None or _resolve(exchange, repository, "/".join(parts[4:]))
    return False


def _repository(exchange: Exchange, owner: str, name: str, revision: str) -> Repository | None:
    """Return the repository at a revision; None after an error was answered."""
    shelf = exchange.hub.shelf
    newest = shelf.find(owner, name, BRANCH, BRANCH)
    if newest is None or (newest.is_private and not exchange.is_authorised):
        # The real hub hides private repositories: both cases are 401 without a token.
        _fail(exchange, 404 if exchange.is_authorised else 401, "RepoNotFound")
        return None
    repository = shelf.find(owner, name, revision, BRANCH)
    if repository is None:
        _fail(exchange, 404, "RevisionNotFound")
    return repository


def _api(exchange: Exchange, owner: str, name: str, rest: list[str]) -> bool:
    revision = rest[1] if rest[:1] in (["revision"], ["tree"], ["paths-info"]) else BRANCH
    repository = _repository(exchange, owner, name, revision)
    if repository is None:
        return True
    if rest == [] or rest[0] == "revision":
        return exchange.send_json(_model(repository, "blobs" in exchange.query))
    if rest == ["refs"]:
        return exchange.send_json(_refs(exchange, owner, name))
    if rest[0] == "tree":
        return _tree(exchange, repository, "/".join(rest[2:]))
    if rest[0] == "paths-info":
        found = [repository.entry(path) for path in _asked_paths(exchange)]
        return exchange.send_json([_described(exchange, entry) for entry in found if entry])
    return False


def _model(repository: Repository, blobs: bool) -> dict[str, Any]:
    files = [entry for entry in repository.entries() if not entry.is_folder]
    return {
        "_id": "test",
        "id": repository.id,
        "modelId": repository.id,
        "sha": repository.commit,
        "private": repository.is_private,
        "disabled": False,
        "gated": False,
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "lastModified": _TIME,
        "createdAt": _TIME,
        "siblings": [
            {"rfilename": entry.path, **({"size": entry.size} if blobs else {})} for entry in files
        ],
    }


def _refs(exchange: Exchange, owner: str, name: str) -> dict[str, Any]:
    shelf = exchange.hub.shelf

    def reference(kind: str, revision: str) -> dict[str, str]:
        repository = shelf.find(owner, name, revision, BRANCH)
        commit = repository.commit if repository else ""
        return {"name": revision, "ref": f"refs/{kind}/{revision}", "targetCommit": commit}

    tags = [reference("tags", tag) for tag in shelf.tags(owner, name)]
    return {"branches": [reference("heads", BRANCH)], "tags": tags, "converts": []}


def _tree(exchange: Exchange, repository: Repository, root: str) -> bool:
    """Answer one page of a listing; the next one is named in the Link header."""
    for status in (403, 500):
        if exchange.hub.faults.take(f"status_{status}", LISTING):
            return exchange.send_json({"error": "a fault of the test hub"}, status)
    query = exchange.query
    recursive = query.get("recursive", "false").lower() in ("true", "1")
    entries = repository.entries(root, recursive)
    start = int(query.get("cursor", 0))
    stop = start + min(int(query.get("limit", PAGE_ENTRIES)), PAGE_ENTRIES)
    headers = {}
    if stop < len(entries):
        path = exchange.path.split("?", 1)[0]
        following = urlencode({**query, "cursor": stop})
        headers["Link"] = f'<{exchange.hub.url}{path}?{following}>; rel="next"'
    page = [_described(exchange, entry) for entry in entries[start:stop]]
    return exchange.send_json(page, headers=headers)


def _described(exchange: Exchange, entry: Entry) -> dict[str, Any]:
    if entry.is_folder:
        return {"type": "directory", "oid": "0" * 40, "size": 0, "path": entry.path}
    size = entry.size + int(exchange.hub.faults.take("wrong_size", entry.path))
    described = {"type": "file", "oid": entry.git_sha1, "size": size, "path": entry.path}
    if entry.is_large:
        described["lfs"] = {"oid": entry.sha256, "size": size, "pointerSize": 134}
    return described


def _asked_paths(exchange: Exchange) -> list[str]:
    if "json" in (exchange.headers.get("Content-Type") or ""):
        return list(json.loads(exchange.body or b"{}").get("paths", []))
    return parse_qs(exchange.body.decode()).get("paths", [])


def _resolve(exchange: Exchange, repository: Repository, path: str) -> bool:
    commit = {"X-Repo-Commit": repository.commit}
    entry = repository.entry(path)
    if entry is None or entry.is_folder:
        return _fail(exchange, 404, "EntryNotFound", commit)
    if not entry.is_large:
        return exchange.send_file(entry, {**commit, "ETag": f'"{entry.git_sha1}"'})
    linked = {"X-Linked-Size": str(entry.size), "X-Linked-Etag": f'"{entry.sha256}"'}
    return exchange.send_to_cdn(repository, entry, {**commit, **linked})


def _fail(
    exchange: Exchange, status: int, code: str, headers: dict[str, str] | None = None
) -> bool:
    return exchange.send_json({"error": code}, status, {"X-Error-Code": code, **(headers or {})})
