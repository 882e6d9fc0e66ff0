# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""ModelScope's protocol, as modelscope 1.40 (modelscope_hub 0.5) speaks it; a stand-in.

Every answer is an envelope ``{Code, Success, Message, RequestId, Data}``. A listing ends silently
after 3,000 entries, as on the real hub; a client must then ask folder by folder with ``Root=``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .faults import LISTING
from .repository import Entry, Repository

if TYPE_CHECKING:
    from .exchange import Exchange

BRANCH = "master"
LISTING_CAP = 3000
CREATED = 1700000000
USER = {"Username": "tester", "Email": "tester@example.com"}


def answer(exchange: Exchange) -> bool:
    """Answer ModelScope's addresses; False when the path is none of them."""
    parts = exchange.parts
    if parts == ["openapi", "v1", "users", "me"]:
        user = {key.lower(): value for key, value in USER.items()}
        return exchange.send_json({"success": True, "request_id": "test", "data": user})
    if parts[:2] != ["api", "v1"]:
        return False
    if parts[2:] == ["login"]:
        return _login(exchange)
    if parts[2:] == ["repos", "internalAccelerationInfo"]:
        return _succeed(exchange, {"Enabled": False, "InternalRegionQueryAddress": ""})
    if len(parts) >= 5 and parts[2] == "models":
        return _model(exchange, parts[3], parts[4], parts[5:])
    return _fail(exchange, 404, "no such address")


def _login(exchange: Exchange) -> bool:
    token = json.loads(exchange.body or b"{}").get("AccessToken")
    if token != exchange.hub.token:
        return _fail(exchange, 401, "the access token is wrong")
    cookie = {"Set-Cookie": f"m_session_id={token}; Path=/"}
    return _succeed(exchange, {"AccessToken": token, **USER}, cookie)


def _model(exchange: Exchange, owner: str, name: str, rest: list[str]) -> bool:
    shelf = exchange.hub.shelf
    newest = shelf.find(owner, name, BRANCH, BRANCH)
    if newest is None or (newest.is_private and not exchange.is_authorised):
        return _fail(exchange, 404, f"model {owner}/{name} not found")
    if rest == []:
        described = {"Id": 1, "Name": name, "Path": owner, "Revision": BRANCH, "Tasks": []}
        return _succeed(exchange, described)
    if rest == ["revisions"]:
        tags = [{"Revision": tag, "CreatedAt": CREATED} for tag in shelf.tags(owner, name)]
        branches = [{"Revision": BRANCH, "CreatedAt": CREATED}]
        return _succeed(exchange, {"RevisionMap": {"Branches": branches, "Tags": tags}})
    revision = exchange.query.get("Revision", BRANCH)
    repository = shelf.find(owner, name, revision, BRANCH)
    if repository is None:
        return _fail(exchange, 404, f"revision {revision} not found")
    if rest == ["repo", "files"]:
        return _listing(exchange, repository)
    if rest == ["repo"]:
        return _file(exchange, repository)
    return _fail(exchange, 404, "no such address")


def _listing(exchange: Exchange, repository: Repository) -> bool:
    for status in (403, 500):
        if exchange.hub.faults.take(f"status_{status}", LISTING):
            return _fail(exchange, status, "a fault of the test hub")
    root = exchange.query.get("Root", "").strip("/")
    recursive = exchange.query.get("Recursive", "False").lower() == "true"
    commit = repository.commit
    entries = repository.entries(root, recursive)[:LISTING_CAP]
    return _succeed(exchange, {"Files": [_described(exchange, item, commit) for item in entries]})


def _described(exchange: Exchange, entry: Entry, commit: str) -> dict[str, Any]:
    lie = 0 if entry.is_folder else int(exchange.hub.faults.take("wrong_size", entry.path))
    return {
        "CommitId": commit,
        "CommittedDate": CREATED,
        "IsLFS": entry.is_large,
        "Mode": "40000" if entry.is_folder else "33188",
        "Name": entry.file.name,
        "Path": entry.path,
        "Revision": commit,
        "Sha256": "" if entry.is_folder else entry.sha256,
        "Size": entry.size + lie,
        "Type": "tree" if entry.is_folder else "blob",
    }


def _file(exchange: Exchange, repository: Repository) -> bool:
    path = exchange.query.get("FilePath", "")
    entry = repository.entry(path)
    if entry is None or entry.is_folder:
        return _fail(exchange, 404, f"file {path} not found")
    if entry.is_large:
        return exchange.send_to_cdn(repository, entry)
    return exchange.send_file(entry, {"ETag": f'"{entry.git_sha1}"'})


def _succeed(exchange: Exchange, data: Any, headers: dict[str, str] | None = None) -> bool:
    envelope = {"Code": 200, "Success": True, "Message": "success", "RequestId": "test"}
    return exchange.send_json({**envelope, "Data": data}, headers=headers)


def _fail(exchange: Exchange, status: int, message: str) -> bool:
    envelope = {"Code": status, "Success": False, "Message": message, "RequestId": "test"}
    return exchange.send_json(envelope, status)
