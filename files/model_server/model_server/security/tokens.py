# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Tokens of `/login`: JSON Web Tokens (RFC 7519), signed with HS256 and nothing else."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from ..credentials import SigningKey
from ..errors import TokenExpired, Unauthenticated
from ..settings import Settings

_ALGORITHM = "HS256"
_CLAIMS = ("iss", "aud", "sub", "iat", "exp", "jti", "scopes")
# Hosts that share the signing keys may differ that much in time.
_LEEWAY_SECONDS = 5


@dataclass(frozen=True)
class Token:
    """What a valid token says."""

    user: str
    scopes: frozenset[str]


class Tokens:
    """Issues tokens with the first signing key, and verifies those of every one."""

    def __init__(
        self, settings: Settings, keys: Sequence[SigningKey], clock: Callable[[], float]
    ) -> None:
        authentication, service = settings.authentication, settings.service
        self.seconds = authentication.token_seconds
        self._issuer = authentication.issuer or service.name
        self._audience = authentication.audience or service.served_name
        self._signing = keys[0]
        self._secrets = {key.kid: key.secret for key in keys}
        self._clock = clock

    def issue(self, user: str, scopes: Sequence[str]) -> str:
        """Make a token that is valid for `seconds`."""
        now = int(self._clock())
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": user,
            "iat": now,
            "exp": now + self.seconds,
            "jti": uuid.uuid4().hex,
            "scopes": list(scopes),
        }
        key = self._signing
        return jwt.encode(claims, key.secret, algorithm=_ALGORITHM, headers={"kid": key.kid})

    def verify(self, token: str) -> Token:
        """Return what the token says, or raise TokenExpired or Unauthenticated."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._secrets[jwt.get_unverified_header(token)["kid"]],
                algorithms=[_ALGORITHM],
                issuer=self._issuer,
                audience=self._audience,
                leeway=_LEEWAY_SECONDS,
                options={"require": list(_CLAIMS), "strict_aud": True},
            )
            return Token(claims["sub"], frozenset(claims["scopes"]))
        except jwt.ExpiredSignatureError as error:
            raise TokenExpired("The token has expired; sign in again at `/login`.") from error
        except (jwt.InvalidTokenError, KeyError, TypeError) as error:
            raise Unauthenticated("The token is not valid; sign in at `/login`.") from error
