# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What both clients share: where the service is, who calls, and how patiently."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar
from urllib.parse import urlsplit

from ._calls import SECRET
from ._flow import Policy, Session
from ._transport import AsyncConnection, Connection, Endpoint

ConnectionT = TypeVar("ConnectionT", Connection, AsyncConnection)
_UNCHANGED: Any = object()


class BaseClient(Generic[ConnectionT]):
    """A client of one service.

    Args:
        url: Where it is, without a path of the API: `https://minilm.example.com`.
        socket: Unix socket of a service on this host, instead of `url`.
        api_key: Key, or
        token: a token of `login`.
        ca: File with the only authority to trust, in PEM form; None trusts the system's.
        model: Served name; None asks the service once.
        expect_fingerprint: Vector space that `embed` must answer in.
        timeout: Seconds without a byte of the answer; None waits forever.
        connect_timeout: Seconds until a connection stands.
        max_retries: Attempts after the first.
        max_retry_after: Longest wait, in seconds, that a server may ask for; more is not waited.
        deadline: Seconds for one call with all its attempts and waits.
        transport: Stands in for the network, in tests.

    Raises ValueError for what cannot be used. The key is in no text of this package: neither in
    `repr` nor in a log or an error.
    """

    _connection: ClassVar[type[Any]]

    def __init__(
        self,
        url: str | None = None,
        *,
        socket: str | Path | None = None,
        api_key: str | None = None,
        token: str | None = None,
        ca: str | Path | None = None,
        model: str | None = None,
        expect_fingerprint: str | None = None,
        timeout: float | None = 60.0,
        connect_timeout: float | None = 5.0,
        max_retries: int = 2,
        max_retry_after: float = 120.0,
        deadline: float | None = None,
        transport: Any = None,
    ) -> None:
        if (url is None) == (socket is None):
            raise ValueError("give either url or socket")
        if api_key is not None and token is not None:
            raise ValueError("give either api_key or token")
        self._endpoint = Endpoint(
            url=_checked_url(url or "http://localhost"),
            socket=None if socket is None else Path(socket),
            ca=None if ca is None else Path(ca),
        )
        self._session = Session(
            model=model, secret=_checked_secret(token if api_key is None else api_key)
        )
        self._policy = Policy(
            timeout=timeout,
            connect_timeout=connect_timeout,
            max_retries=max_retries,
            max_retry_after=max_retry_after,
            deadline=deadline,
        )
        self._expect_fingerprint = expect_fingerprint
        self._http: ConnectionT = self._connection(self._endpoint, transport)

    def with_options(
        self,
        *,
        timeout: float | None = _UNCHANGED,
        max_retries: int = _UNCHANGED,
        deadline: float | None = _UNCHANGED,
    ) -> Self:
        """Copy this client with another patience; connections, key and token stay shared."""
        given = {"timeout": timeout, "max_retries": max_retries, "deadline": deadline}
        changes: dict[str, Any] = {
            name: value for name, value in given.items() if value is not _UNCHANGED
        }
        other = copy.copy(self)
        other._policy = replace(self._policy, **changes)
        return other

    def __repr__(self) -> str:
        place = self._endpoint.socket or self._endpoint.url
        return f"{type(self).__name__}({str(place)!r}, model={self._session.model!r})"


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("url: give it as https://host, with a port if it is not 443")
    if "@" in parts.netloc:
        raise ValueError("url: give credentials as api_key or token, not in the address")
    if parts.query or parts.fragment:
        raise ValueError("url: it must not have a query or a fragment")
    return url


def _checked_secret(secret: str | None) -> str | None:
    if secret is not None and not SECRET.fullmatch(secret):
        raise ValueError("the key or token holds characters that none has; is it read whole?")
    return secret
