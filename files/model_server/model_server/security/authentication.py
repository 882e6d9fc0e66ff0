# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Who a client is: by an API key, by a token of `/login`, or by calling from this host."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from werkzeug.datastructures import Headers

from ..credentials import Credentials, KeyLimits
from ..errors import (
    AddressNotAllowed,
    InsufficientScope,
    TokenExpired,
    Unauthenticated,
)
from ..settings import SCOPES, Scope, Settings
from .addresses import is_loopback
from .tokens import Tokens

Method = Literal["api_key", "jwt", "none"]

_CHALLENGE = 'Bearer realm="model_server"'
_TOKEN_DOTS = 2


@dataclass(frozen=True)
class Client:
    """Who calls. `limits` are its own; where they are None, the service's hold."""

    name: str
    method: Method
    scopes: frozenset[Scope]
    limits: KeyLimits = field(default_factory=KeyLimits)


class Authenticator:
    """Accepts a key or token as `Authorization: Bearer`, a key also as `X-API-Key`.

    Where both are accepted, a token is told from a key by its form: two dots.
    """

    def __init__(
        self,
        settings: Settings,
        credentials: Credentials,
        tokens: Tokens | None,
        clock: Callable[[], float],
    ) -> None:
        methods = settings.authentication.methods
        self._required = settings.authentication.required
        self._keys = tuple(credentials.api_keys) if "api_key" in methods else ()
        self._users = {user.name: user for user in credentials.users}
        self._tokens = tokens
        self._clock = clock

    def identify(self, headers: Headers, address: str) -> Client:
        """Return the client.

        Raises Unauthenticated or TokenExpired, and AddressNotAllowed where the service is open and
        the client is not on this host.
        """
        if not self._required:
            if not is_loopback(address):
                raise AddressNotAllowed(
                    "This service asks for no key, so it answers on its own host only."
                )
            return Client("anonymous", "none", frozenset(SCOPES))
        scheme, _blank, sent = headers.get("Authorization", "").strip().partition(" ")
        bearer = sent.strip() if scheme.lower() == "bearer" else ""
        api_key = headers.get("X-API-Key", "").strip() if self._keys else ""
        if not (bearer or api_key):
            raise Unauthenticated(
                f"Send {self._wanted()}.", headers={"WWW-Authenticate": _CHALLENGE}
            )
        try:
            if self._tokens is not None and (bearer.count(".") == _TOKEN_DOTS or not self._keys):
                return self._by_token(self._tokens, bearer)
            return self._by_key(bearer or api_key)
        except (Unauthenticated, TokenExpired) as error:
            # RFC 6750, section 3.1: sent, but not accepted.
            error.headers["WWW-Authenticate"] = f'{_CHALLENGE}, error="invalid_token"'
            raise

    def _by_key(self, presented: str) -> Client:
        # WSGI hands headers over as Latin-1; this gives back the bytes that were sent.
        digest = hashlib.sha256(presented.encode("latin-1", "replace")).hexdigest()
        # Every key is compared, so that the time tells nothing about which one matched.
        found = [key for key in self._keys if hmac.compare_digest(key.sha256, digest)]
        if not found:
            raise Unauthenticated("The API key is not known.")
        key = found[0]
        if key.expires is not None and key.expires.timestamp() <= self._clock():
            raise TokenExpired("The API key has expired; ask the operator for a new one.")
        return Client(key.name, "api_key", frozenset(key.scopes), key.limits)

    def _by_token(self, tokens: Tokens, presented: str) -> Client:
        token = tokens.verify(presented)
        user = self._users.get(token.user)
        if user is None:
            raise Unauthenticated("The token is not valid; sign in at `/login`.")
        # What was taken from a user after the login holds at once.
        scopes = frozenset(scope for scope in user.scopes if scope in token.scopes)
        return Client(user.name, "jwt", scopes, user.limits)

    def _wanted(self) -> str:
        ways = []
        if self._keys:
            ways.append("an API key as `Authorization: Bearer KEY`")
        if self._tokens is not None:
            ways.append("a token of `/login` as `Authorization: Bearer TOKEN`")
        return " or ".join(ways)


def require_scope(client: Client, scope: Scope) -> None:
    """Raise InsufficientScope unless the client may use paths of that scope."""
    if scope not in client.scopes:
        raise InsufficientScope(
            f"This needs the scope {scope!r}; {client.name!r} has "
            f"{', '.join(sorted(client.scopes)) or 'none'}.",
            headers={
                "WWW-Authenticate": f'{_CHALLENGE}, error="insufficient_scope", scope="{scope}"'
            },
        )
