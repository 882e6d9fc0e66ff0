# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a source of models does: list the files of one revision, and open them at an offset."""

from __future__ import annotations

import difflib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from .._download import Stream
from .._errors import ModelError
from .._http import Credentials, HttpClient, plain_url
from .._manifest import NO_HASH, SourceHash, safe_path
from .._progress import Meter
from .._retry import Backoff


@dataclass(frozen=True)
class Wanted:
    """One revision of one model, and how its files lie at the source.

    ``work`` is a folder of the caller for archives. ``hash_all`` asks for the hashes of local files
    that nothing proves yet.
    """

    id: str
    revision: str
    endpoint: str
    subfolder: str = ""
    archive_sha256: str = ""
    work: str = ""
    hash_all: bool = False


@dataclass(frozen=True)
class Connection:
    """How servers are reached: seconds, count, URL, PEM file, secret."""

    timeout: float = 60.0
    retries: int = 5
    proxy: str = ""
    ca_bundle: str = ""
    token: str = ""


@dataclass(frozen=True)
class SourceFile:
    """A file as the source lists it; ``size`` in bytes where it is known.

    ``hash`` is what is expected; ``listed`` is the hash that the source gave when a lock was made.
    """

    path: str
    size: int | None = None
    hash: SourceHash = NO_HASH
    listed: SourceHash | None = None


@dataclass(frozen=True)
class Listing:
    """The files of a revision, and the commit that it resolved to.

    ``archive`` is true where the one entry is an archive whose members are not known yet.
    """

    commit: str
    files: tuple[SourceFile, ...]
    archive: bool = False


class Source(ABC):
    """Base of all sources. A subclass lists and opens; subfolders are dealt with here."""

    address: ClassVar[str] = ""  # key of the default endpoint in _addresses
    branch: ClassVar[str] = ""  # the branch that an empty revision means, where there is one
    owned: ClassVar[bool] = False  # ids have the form owner/name
    extracts: ClassVar[bool] = False  # files come out of an archive that is fetched apart
    streams: ClassVar[int] = 4  # how many files may be open at once

    def __init__(self, wanted: Wanted, connection: Connection) -> None:
        self.wanted = wanted
        self.connection = connection
        self.commit = ""  # what the revision resolves to, where a lock or the listing says so
        self.received = 0  # bytes that were fetched apart from the files themselves
        self.meter = Meter()  # is told of those bytes
        self.local = False  # what is opened lies on this host
        self._prefix = wanted.subfolder.strip("/") + "/" if wanted.subfolder.strip("/") else ""
        if self._prefix and not safe_path(self._prefix[:-1]):
            raise ModelError(
                f"subfolder is '{wanted.subfolder}'; it is a relative path without '..'.",
                "invalid_option",
            )

    def _prepare(self) -> None:  # noqa: B027 - most sources need nothing
        """Get ready before the first listing or opening; may find the subfolder."""

    @abstractmethod
    def _list(self) -> Listing:
        """Return all files of the revision with their paths at the source."""

    @abstractmethod
    def _open(self, path: str, offset: int) -> Stream:
        """Open the file at ``path`` at the source."""

    def list(self) -> Listing:
        """Return the files below the subfolder; paths are relative to it. Raises ``ModelError``."""
        self._prepare()
        listing = self._list()
        for item in listing.files:
            if not safe_path(item.path):
                raise ModelError(
                    f"{self.wanted.endpoint} lists the unsafe path {item.path!r} for "
                    f"{self.wanted.id}. Nothing was fetched; use another source.",
                    "listing_invalid",
                )
        files = tuple(
            SourceFile(item.path[len(self._prefix) :], item.size, item.hash, item.listed)
            for item in listing.files
            if item.path.startswith(self._prefix)
        )
        return Listing(listing.commit, files, listing.archive)

    def open(self, path: str, offset: int = 0) -> Stream:
        """Open one listed file. Raises ``ModelError``, of which ``TransientError`` may pass."""
        self._prepare()
        return self._open(self._prefix + path, offset)

    def prepare(self, items: Sequence[SourceFile]) -> None:
        """Get ready to open exactly ``items``; afterwards several threads may. Raises as ``open``.

        Calling it is optional: ``open`` alone prepares for all files.
        """
        self._prepare()

    def preview(self) -> Listing:
        """Return what is known without writing anything."""
        return self.list()

    def revision_not_found(self, known: Sequence[str] = ()) -> ModelError:
        """Return the error for a revision that a known model does not have."""
        wanted = self.wanted
        near = difflib.get_close_matches(wanted.revision, known, 1)
        has = (
            f"; it has {', '.join(known[:20])}{', ...' if len(known) > 20 else ''}" if known else ""
        )
        hint = f" Did you mean '{near[0]}'?" if near else " Give a tag or a commit that is there."
        return ModelError(
            f"{plain_url(wanted.endpoint)} has {wanted.id}, but not the revision "
            f"'{wanted.revision}'{has}.{hint}",
            "revision_not_found",
            revisions=list(known),
        )

    def backoff(self, sleep: Callable[[float], object] = time.sleep) -> Backoff:
        """Return a fresh patience for one file."""
        return Backoff(self.connection.retries, sleep)

    def http(self, headers: dict[str, str] | None = None) -> HttpClient:
        """Return a client that sends ``headers`` to the endpoint's origin only."""
        return HttpClient(
            timeout=self.connection.timeout,
            ca_bundle=self.connection.ca_bundle,
            proxy=self.connection.proxy,
            credentials=Credentials(self.wanted.endpoint, headers) if headers else None,
            backoff=self.backoff,
        )
