# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models on ModelScope, by the three requests of its hub API (``/api/v1``) that fetching needs."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from .._download import Stream
from .._errors import ModelError
from .._http import plain_url
from .._manifest import NO_HASH, SourceHash, is_hash
from .base import Connection, Listing, Source, SourceFile, Wanted

# The hub cuts a listing at this many entries and does not say so.
MAX_ENTRIES = 3000


class ModelScopeSource(Source):
    """``id`` is ``owner/name``, ``revision`` a tag or a commit."""

    address = "modelscope"
    branch = "master"
    owned = True

    def __init__(self, wanted: Wanted, connection: Connection) -> None:
        super().__init__(wanted, connection)
        token = connection.token
        # The hub takes a token as header or as session cookie, depending on the route.
        headers = {"Authorization": f"Bearer {token}", "Cookie": f"m_session_id={token}"}
        self._client = self.http(headers if token else None)
        self._model = f"{wanted.endpoint.rstrip('/')}/api/v1/models/{quote(wanted.id)}"
        self._base = f"{self._model}/repo"

    def _list(self) -> Listing:
        try:
            entries = self._walk("")
        except ModelError as error:
            if error.code in ("not_found", "listing_invalid"):
                self._check_revision()
            raise
        return Listing(self._commit(entries), tuple(self._file(entry) for entry in entries))

    def _open(self, path: str, offset: int) -> Stream:
        query = urlencode({"Revision": self._revision(), "FilePath": path}, quote_via=quote)
        return self._client.stream(f"{self._base}?{query}", offset)

    def _check_revision(self) -> None:
        """Raise ``revision_not_found`` if the hub knows the model and not the revision.

        The answer is ``{"Data": {"RevisionMap": {"Branches": [...], "Tags": [...]}}}``, each entry
        with its name in ``Revision``; commits are not in it.
        """
        try:
            answer = self._client.document(f"{self._model}/revisions").json()
            entries = answer["Data"]["RevisionMap"]
            known = [
                str(entry["Revision"])
                for kind in ("Tags", "Branches")
                for entry in entries.get(kind) or []
            ]
        except (ModelError, KeyError, TypeError, AttributeError):
            return
        if self._revision() not in known:
            raise self.revision_not_found(known)

    def _revision(self) -> str:
        return self.commit or self.wanted.revision

    def _walk(self, root: str) -> list[dict[str, Any]]:
        """Return the files below ``root``, folder by folder where one answer would be cut."""
        entries = self._entries(root, recursive=True)
        if len(entries) < MAX_ENTRIES:
            return [entry for entry in entries if entry.get("Type") == "blob"]
        entries = self._entries(root, recursive=False)
        if len(entries) >= MAX_ENTRIES:
            raise ModelError(
                f"{self.wanted.endpoint} lists {MAX_ENTRIES} or more entries in the folder "
                f"'{root or '/'}' of {self.wanted.id} and cuts the list there. Use a lock.",
                "listing_invalid",
            )
        found = []
        for entry in entries:
            if entry.get("Type") == "tree":
                found += self._walk(str(entry.get("Path")))
            else:
                found.append(entry)
        return found

    def _entries(self, root: str, recursive: bool) -> list[dict[str, Any]]:
        query = {"Revision": self._revision(), "Recursive": str(recursive)}
        if root:
            query["Root"] = root
        page = self._client.document(f"{self._base}/files?{urlencode(query, quote_via=quote)}")
        answer = page.json()
        data = answer.get("Data") if isinstance(answer, dict) else None
        files = data.get("Files") if isinstance(data, dict) else None
        if not isinstance(files, list) or not all(isinstance(entry, dict) for entry in files):
            reason = answer.get("Message") if isinstance(answer, dict) else None
            raise ModelError(
                f"{plain_url(page.url)} answered no file list ({reason or 'unknown form'}). "
                "Check endpoint, id and revision.",
                "listing_invalid",
            )
        return files

    def _file(self, entry: dict[str, Any]) -> SourceFile:
        sha256, size = entry.get("Sha256"), entry.get("Size")
        return SourceFile(
            str(entry.get("Path")),
            size if isinstance(size, int) else None,
            SourceHash("sha256", str(sha256)) if is_hash(sha256, "sha256") else NO_HASH,
        )

    def _commit(self, entries: list[dict[str, Any]]) -> str:
        """Return the newest commit that touched a file: the hub has no request for the commit."""
        revision = self._revision()
        if is_hash(revision, "git_sha1"):
            return revision
        dated = [e for e in entries if is_hash(e.get("CommitId"), "git_sha1")]
        newest = max(dated, key=lambda e: (e.get("CommittedDate") or 0, e["CommitId"]), default={})
        return str(newest.get("CommitId", revision))
