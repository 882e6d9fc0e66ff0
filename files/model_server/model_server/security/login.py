# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Signing in: a user name and a password for a token."""

from __future__ import annotations

from collections.abc import Sequence

from ..credentials import User
from ..errors import InvalidCredentials
from .lockout import Lockout
from .passwords import Passwords
from .tokens import Tokens


class Login:
    """Checks a password behind the lockout, and issues a token."""

    def __init__(self, users: Sequence[User], tokens: Tokens, lockout: Lockout) -> None:
        self._scopes = {user.name: user.scopes for user in users}
        self._passwords = Passwords(users)
        self._tokens = tokens
        self._lockout = lockout

    @property
    def token_seconds(self) -> int:
        """How long a token is valid."""
        return self._tokens.seconds

    def sign_in(self, user: str, password: str, address: str) -> str:
        """Return a token, or raise LockedOut, Overloaded or InvalidCredentials.

        The password of a user who is locked out is not looked at.
        """
        self._lockout.check(user, address)
        if not self._passwords.verify(user, password):
            self._lockout.failed(user, address)
            raise InvalidCredentials("The user name or the password is wrong.")
        self._lockout.succeeded(user, address)
        return self._tokens.issue(user, self._scopes[user])
