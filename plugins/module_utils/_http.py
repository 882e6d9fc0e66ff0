# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP by the standard library: redirects, tokens, proxies, certificates and clear failures."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPMessage, IncompleteRead
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin, urlsplit, urlunsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from ._download import Stream
from ._errors import ModelError
from ._retry import Backoff, TransientError

MAX_REDIRECTS = 10
MAX_DOCUMENT_BYTES = 64 << 20
REDIRECTS = (301, 302, 303, 307, 308)
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True)
class Credentials:
    """Headers that prove who asks. They are sent to one origin (scheme, host, port), never on."""

    url: str
    headers: Mapping[str, str] = field(repr=False)

    def headers_for(self, url: str) -> Mapping[str, str]:
        """Return the headers if ``url`` is of the same origin, else none."""
        return self.headers if _origin(url) == _origin(self.url) else {}


@dataclass(frozen=True)
class Document:
    """A small answer: ``url`` is where it came from in the end."""

    url: str
    headers: HTTPMessage
    body: bytes

    def json(self) -> Any:
        """Parse the body. Raises ``ModelError`` (``listing_invalid``)."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise ModelError(
                f"{plain_url(self.url)} answered something that is not JSON ({error}). "
                "Check the endpoint.",
                "listing_invalid",
            ) from error


class HttpClient:
    """Open URLs. ``timeout`` (seconds) is the longest silence of a server that is accepted.

    ``proxy`` is the URL of a proxy, empty for the ``*_proxy`` variables of the environment.
    ``ca_bundle`` is a PEM file that is trusted beside the system's certificates.
    """

    def __init__(
        self,
        timeout: float = 60.0,
        ca_bundle: str = "",
        proxy: str = "",
        credentials: Credentials | None = None,
        backoff: Callable[[], Backoff] = lambda: Backoff(5),
    ) -> None:
        self._timeout = timeout
        self._credentials = credentials
        self.backoff = backoff
        self._opener = OpenerDirector()
        for handler in (
            ProxyHandler({"http": proxy, "https": proxy} if proxy else None),
            HTTPHandler(),
            HTTPSHandler(context=_tls_context(ca_bundle)),
            HTTPDefaultErrorHandler(),
            HTTPErrorProcessor(),
        ):
            self._opener.add_handler(handler)

    def document(self, url: str, accept: str = "application/json") -> Document:
        """Fetch a small document, trying again after failures that may pass."""
        return self.backoff().call(lambda: self._document(url, accept))

    def stream(self, url: str, offset: int = 0) -> Stream:
        """Open ``url`` from ``offset`` (bytes) once; the caller tries again.

        The stream says at which offset it really begins: 0 if the server ignores ranges, or has
        nothing from there on.
        """
        try:
            response = self._open(url, {"Range": f"bytes={offset}-"} if offset else {})
        except _RangeRefused:
            response = self._open(url, {})
        headers: HTTPMessage = response.headers
        begin, total = 0, _number(headers.get("Content-Length"))
        if response.status == 206:
            match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
            begin = int(match.group(1)) if match else offset
            total = begin + total if total is not None else None
        host = urlsplit(response.url).hostname or ""
        return Stream(response, begin, total, plain_url(response.url), host)

    def _document(self, url: str, accept: str) -> Document:
        response = self._open(url, {"Accept": accept})
        try:
            with response:
                body = response.read(MAX_DOCUMENT_BYTES + 1)
        except (OSError, HTTPException) as error:
            raise _unreachable(url, response.url, error) from error
        if len(body) > MAX_DOCUMENT_BYTES:
            raise ModelError(
                f"{plain_url(response.url)} answered more than {MAX_DOCUMENT_BYTES} bytes where a "
                "list was expected. Check the endpoint.",
                "listing_invalid",
            )
        announced = _number(response.headers.get("Content-Length"))
        if announced is not None and len(body) < announced:
            raise _unreachable(url, response.url, IncompleteRead(body, announced - len(body)))
        return Document(response.url, response.headers, body)

    def _open(self, url: str, headers: Mapping[str, str]) -> Any:
        """Follow redirects by hand, so that the credentials of one host never reach another."""
        current = url
        for _hop in range(MAX_REDIRECTS):
            request = Request(_checked(current), headers=self._headers(current, headers))
            try:
                return self._opener.open(request, timeout=self._timeout)
            except HTTPError as error:
                with error:
                    location = error.headers.get("Location", "")
                    if error.code not in REDIRECTS or not location:
                        raise _refused(url, current, error) from error
                    following = urljoin(current, location)
            except (URLError, OSError, HTTPException) as error:
                raise _unreachable(url, current, error) from error
            if current.startswith("https:") and not following.startswith("https:"):
                raise ModelError(
                    f"{plain_url(current)} sends on to {plain_url(following)} without TLS, which "
                    "is refused. Use another endpoint.",
                    "network_error",
                    url=plain_url(following),
                )
            current = following
        raise ModelError(
            f"{plain_url(url)} redirects more than {MAX_REDIRECTS} times. Check the endpoint.",
            "network_error",
            url=plain_url(current),
        )

    def _headers(self, url: str, extra: Mapping[str, str]) -> dict[str, str]:
        headers = {"User-Agent": "modelops.serving", "Accept-Encoding": "identity", **extra}
        if self._credentials is not None:
            headers.update(self._credentials.headers_for(url))
        return headers


class _RangeRefused(Exception):
    """HTTP 416: the server has nothing at the offset."""


def plain_url(url: str) -> str:
    """Return ``url`` without user, query and fragment: those may hold secrets."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or default


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ModelError(
            f"'{plain_url(url)}' is not an http or https address. Check the endpoint.",
            "invalid_option",
        )
    return url


def _tls_context(ca_bundle: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_bundle:
        try:
            context.load_verify_locations(cafile=ca_bundle)
        except (OSError, ssl.SSLError) as error:
            raise ModelError(
                f"The CA bundle {ca_bundle} cannot be read ({error}). Give a PEM file on the host.",
                "invalid_option",
            ) from error
    return context


def _via(asked: str, final: str) -> str:
    """Name the final host where it is not the one that was asked."""
    host = urlsplit(final).hostname
    return "" if host == urlsplit(asked).hostname else f" (sent on to the host {host})"


def _refused(asked: str, final: str, error: HTTPError) -> Exception:
    status, via = error.code, _via(asked, final)
    details: dict[str, Any] = {"status": status, "url": plain_url(final)}
    what = f"{plain_url(asked)} answered HTTP {status}{via}."
    if status == 416:
        return _RangeRefused()
    if status in TRANSIENT:
        wish = _number(error.headers.get("Retry-After")) or 0
        return TransientError(f"{what} Try again later or use another endpoint.", wish, **details)
    if status in (401, 403):
        return ModelError(
            f"{what} Check id and revision, the token and its rights, and the way to that host.",
            "access_denied",
            **details,
        )
    if status in (404, 410):
        if error.headers.get("X-Error-Code"):  # Hugging Face says here what is missing
            details["reason"] = error.headers["X-Error-Code"]
        return ModelError(
            f"{what} Check source, id and revision; a private model needs a token.",
            "not_found",
            **details,
        )
    return ModelError(f"{what} Check the endpoint.", "network_error", **details)


def _unreachable(asked: str, final: str, error: Exception) -> ModelError:
    reason = error.reason if isinstance(error, URLError) else error
    what = (
        f"{plain_url(asked)} cannot be read{_via(asked, final)}: {reason or type(reason).__name__}."
    )
    details: dict[str, Any] = {"url": plain_url(final)}
    if isinstance(reason, ssl.SSLCertVerificationError):
        return ModelError(
            f"{what} If the host has a private CA, give its certificate as ca_bundle.",
            "network_error",
            **details,
        )
    return TransientError(f"{what} Check the network, the proxy and the endpoint.", **details)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None
