# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The one door: from where, who, for what, and how much; in this order."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from werkzeug.datastructures import Headers

from ..credentials import Credentials
from ..errors import AddressNotAllowed
from ..settings import Scope, Settings
from .addresses import Networks, client_address
from .authentication import Authenticator, Client, require_scope
from .lockout import Lockout
from .login import Login
from .rates import Admission, Rates
from .tokens import Tokens
from .usage import Usage

__all__ = ["Access", "Admission", "Client"]

# A place outlives its request's time by that much, for an answer that a client reads slowly.
_PLACE_MARGIN_SECONDS = 60


class Access:
    """Decides who may call. `clock` gives seconds since the epoch.

    `login` is None where tokens are no method of the service.
    """

    def __init__(
        self,
        settings: Settings,
        credentials: Credentials,
        clock: Callable[[], float] = time.time,
    ) -> None:
        rates, limits = settings.rates, settings.limits
        self.usage = Usage(
            rates.storage,
            password=credentials.redis_password,
            prefix=f"model_server:{settings.service.name}",
            clock=clock,
        )
        self._trusted_proxies = settings.access.trusted_proxies
        self._clients = Networks(settings.access.allow_from)
        self._operators = Networks(settings.access.operators_from)
        tokens = None
        if "jwt" in settings.authentication.methods:
            tokens = Tokens(settings, credentials.signing_keys, clock)
        self._authenticator = Authenticator(settings, credentials, tokens, clock)
        self._rates = Rates(
            rates, self.usage, limits.request_timeout_seconds + _PLACE_MARGIN_SECONDS, clock
        )
        self.login = None
        if tokens is not None:
            lockout = Lockout(settings.authentication, self.usage, clock)
            self.login = Login(credentials.users, tokens, lockout)

    def locate(self, peer: str, forwarded: str | None) -> str:
        """Return the client's address from the peer's and X-Forwarded-For; empty if unknown."""
        return client_address(peer, forwarded, self._trusted_proxies)

    def is_operator(self, address: str) -> bool:
        """Whether the documents of operators are shown to this address."""
        return address in self._operators

    def check_address(self, address: str) -> None:
        """Raise AddressNotAllowed, or RateLimited; counts a request of the address."""
        if self._clients and address not in self._clients:
            raise AddressNotAllowed("This address may not use the service.")
        self._rates.count_address(address)

    def admit(self, headers: Mapping[str, str], address: str, scope: Scope) -> Admission:
        """Admit one request, whose `release` must follow in any case.

        Raises AddressNotAllowed, RateLimited, Unauthenticated, TokenExpired or InsufficientScope.
        """
        self.check_address(address)
        client = self._authenticator.identify(Headers(headers), address)
        require_scope(client, scope)
        return self._rates.admit(client)
