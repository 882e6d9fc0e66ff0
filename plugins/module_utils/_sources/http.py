# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models on a plain HTTP server: ``<endpoint>/<id>/<revision>/<path>``.

The list of files is the ``manifest.json`` beside them; with a lock it is not asked for.
"""

from __future__ import annotations

from urllib.parse import quote

from .._download import Stream
from .._errors import ModelError
from .._http import plain_url
from .._manifest import Manifest, SourceHash
from .base import Connection, Listing, Source, SourceFile, Wanted


class HttpSource(Source):
    """A folder that a web server shows, as the store itself lays it out."""

    def __init__(self, wanted: Wanted, connection: Connection) -> None:
        super().__init__(wanted, connection)
        token = connection.token
        self._client = self.http({"Authorization": f"Bearer {token}"} if token else None)
        self._base = f"{wanted.endpoint.rstrip('/')}/{quote(wanted.id)}/{quote(wanted.revision)}"

    def _list(self) -> Listing:
        page = self._client.document(f"{self._base}/manifest.json")
        manifest = Manifest.from_dict(page.json(), f"manifest {plain_url(page.url)}")
        if manifest.id != self.wanted.id:
            raise ModelError(
                f"{plain_url(page.url)} is the manifest of {manifest.id}, not of {self.wanted.id}. "
                "Check endpoint and id.",
                "listing_invalid",
            )
        files = tuple(
            SourceFile(item.path, item.size, SourceHash("sha256", item.sha256))
            for item in manifest.files
        )
        return Listing(manifest.commit, files)

    def _open(self, path: str, offset: int) -> Stream:
        return self._client.stream(f"{self._base}/{quote(path)}", offset)
