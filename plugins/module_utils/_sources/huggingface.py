# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models on the Hugging Face Hub or a mirror of it, by its public HTTP API."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urljoin

from .._download import Stream
from .._errors import ModelError
from .._http import plain_url
from .._manifest import NO_HASH, SourceHash, is_hash
from .base import Connection, Listing, Source, SourceFile, Wanted

_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')


class HuggingFaceSource(Source):
    """``id`` is ``owner/name``, ``revision`` a tag or a commit."""

    address = "huggingface"
    branch = "main"
    owned = True

    def __init__(self, wanted: Wanted, connection: Connection) -> None:
        super().__init__(wanted, connection)
        token = connection.token
        self._client = self.http({"Authorization": f"Bearer {token}"} if token else None)
        self._endpoint = wanted.endpoint.rstrip("/")

    def _list(self) -> Listing:
        model = f"{self._endpoint}/api/models/{quote(self.wanted.id)}"
        try:
            page = self._client.document(f"{model}/revision/{quote(self.wanted.revision, safe='')}")
        except ModelError as error:
            raise self._clearer(error) from error
        answer = page.json()
        sha = answer.get("sha") if isinstance(answer, dict) else None
        if not is_hash(sha, "git_sha1"):
            raise self._no_list(page.url)
        self.commit = str(sha)
        return Listing(
            self.commit,
            tuple(self._tree(f"{model}/tree/{sha}?recursive=true&expand=false")),
        )

    def _open(self, path: str, offset: int) -> Stream:
        revision = quote(self.commit or self.wanted.revision, safe="")
        url = f"{self._endpoint}/{quote(self.wanted.id)}/resolve/{revision}/{quote(path)}"
        try:
            return self._client.stream(url, offset)
        except ModelError as error:
            raise self._clearer(error) from error

    def _clearer(self, error: ModelError) -> ModelError:
        """Tell a revision that is missing from a model that is: the hub says so in a header."""
        missing = error.details.get("reason") == "RevisionNotFound"
        return self.revision_not_found() if missing else error

    def _tree(self, url: str) -> list[SourceFile]:
        found = []
        while url:
            page = self._client.document(url)
            entries = page.json()
            if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
                raise self._no_list(page.url)
            found += [self._file(entry) for entry in entries if entry.get("type") == "file"]
            following = _NEXT.search(page.headers.get("Link", ""))
            url = urljoin(page.url, following.group(1)) if following else ""
        return found

    def _file(self, entry: dict[str, Any]) -> SourceFile:
        """Large files carry their SHA-256, the others the hash of their git blob."""
        lfs = entry.get("lfs")
        large = lfs if isinstance(lfs, dict) else {}
        size = large.get("size", entry.get("size"))
        hashed = NO_HASH
        if is_hash(large.get("oid"), "sha256"):
            hashed = SourceHash("sha256", str(large["oid"]))
        elif not large and isinstance(size, int) and is_hash(entry.get("oid"), "git_sha1"):
            hashed = SourceHash("git_sha1", str(entry["oid"]))
        return SourceFile(str(entry.get("path")), size if isinstance(size, int) else None, hashed)

    def _no_list(self, url: str) -> ModelError:
        return ModelError(
            f"{plain_url(url)} does not answer as the Hugging Face API does. Check the endpoint.",
            "listing_invalid",
        )
