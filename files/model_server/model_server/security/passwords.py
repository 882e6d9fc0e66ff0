# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Passwords, known by their scrypt hash only."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from werkzeug.security import check_password_hash

from ..credentials import User
from ..errors import Overloaded

# Each takes about 32 MB and a core for a tenth of a second.
_CHECKS_AT_ONCE = 2
_RETRY_AFTER = 1


class Passwords:
    """Checks passwords; an unknown user costs the time of a wrong password."""

    def __init__(self, users: Sequence[User]) -> None:
        self._hashes = {user.name: user.password_hash for user in users}
        method = users[0].password_hash.partition("$")[0]
        # No password has the hash of zeros.
        self._nobody = f"{method}$nobody${'0' * 128}"
        self._places = threading.BoundedSemaphore(_CHECKS_AT_ONCE)

    def verify(self, name: str, password: str) -> bool:
        """Tell whether the password is the user's; raise Overloaded when others are checked."""
        if not self._places.acquire(blocking=False):
            raise Overloaded(
                "Enough passwords are being checked; send the request again.",
                retry_after=_RETRY_AFTER,
            )
        try:
            return check_password_hash(self._hashes.get(name, self._nobody), password)
        finally:
            self._places.release()
