# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""API keys, known by their SHA-256 only and compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from ..credentials import ApiKey
from ..errors import Unauthenticated

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="model_server"'}


class Authenticator:
    """Accepts a key as `Authorization: Bearer KEY` or `X-API-Key: KEY`."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._keys = tuple(keys)

    def identify(self, authorization: str | None, api_key: str | None) -> str:
        """Return the name of the key, or raise Unauthenticated."""
        words = (authorization or "").split(maxsplit=1)
        bearer = len(words) == 2 and words[0].lower() == "bearer"
        presented = words[1].strip() if bearer else api_key
        if not presented:
            raise Unauthenticated(
                "No API key was sent; send it as `Authorization: Bearer KEY`.", headers=_CHALLENGE
            )
        # WSGI hands headers over as Latin-1; this gives back the bytes that were sent.
        digest = hashlib.sha256(presented.encode("latin-1", "replace")).hexdigest()
        # Every key is compared, so that the time tells nothing about which one matched.
        names = [key.name for key in self._keys if hmac.compare_digest(key.sha256, digest)]
        if not names:
            raise Unauthenticated("The API key is not known.", headers=_CHALLENGE)
        return names[0]
