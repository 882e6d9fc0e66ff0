# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Lockout after failed logins: of a user from one address, and after many failures, of the user."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

from limits import RateLimitItemPerSecond

from ..errors import LockedOut
from ..settings import AuthenticationSettings
from .addresses import host_of
from .usage import Store, Usage

# So many addresses must fail before a user who signs in from another is locked out, too.
_USER_FACTOR = 10


class Lockout:
    """Counts failures for `lockout_seconds`; the last that is allowed locks for as long.

    Users who do not exist are locked out alike, so that a lockout tells nothing.
    """

    def __init__(
        self, settings: AuthenticationSettings, usage: Usage, clock: Callable[[], float]
    ) -> None:
        failures, seconds = settings.lockout_failures, settings.lockout_seconds
        self._clock = clock
        self._from_address = _Lock(usage, "login-address", failures, seconds)
        self._of_user = _Lock(usage, "login-user", failures * _USER_FACTOR, seconds)

    def check(self, user: str, address: str) -> None:
        """Raise LockedOut, with the seconds that are left."""
        name, host = _name(user), host_of(address)
        until = max(self._from_address.until(name, host), self._of_user.until(name))
        seconds = math.ceil(until - self._clock())
        if seconds > 0:
            raise LockedOut(
                f"Too many failed logins; try again in {seconds} s.", retry_after=seconds
            )

    def failed(self, user: str, address: str) -> None:
        """Count a failure."""
        name, host = _name(user), host_of(address)
        self._from_address.failed(name, host)
        self._of_user.failed(name)

    def succeeded(self, user: str, address: str) -> None:
        """Forget the failures from this address; others may be those of somebody who guesses."""
        self._from_address.forget(_name(user), host_of(address))


class _Lock:
    """Failures of one kind, and the lock that follows."""

    def __init__(self, usage: Usage, kind: str, failures: int, seconds: int) -> None:
        self._usage = usage
        self._failures = RateLimitItemPerSecond(failures, seconds, kind)
        self._lock = RateLimitItemPerSecond(1, seconds, f"{kind}-lock")

    def until(self, *key: str) -> float:
        """When the lock ends; 0 when there is none."""
        lock = self._usage.on(lambda store: store.look(self._lock, *key))
        return 0.0 if lock.allowed else lock.reset

    def failed(self, *key: str) -> None:
        def count(store: Store) -> None:
            if store.add(self._failures, *key) >= self._failures.amount:
                store.add(self._lock, *key)
                store.clear(self._failures, *key)

        self._usage.on(count)

    def forget(self, *key: str) -> None:
        self._usage.on(lambda store: store.clear(self._failures, *key))


def _name(user: str) -> str:
    """Hide what was typed as a user name: it may be any text, or a password."""
    return hashlib.sha256(user.encode()).hexdigest()
