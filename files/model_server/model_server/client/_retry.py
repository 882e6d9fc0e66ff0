# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether and when to send again: pure functions of an answer and a policy."""

from __future__ import annotations

import datetime
import email.utils
import math
from collections.abc import Callable, Mapping

STATUSES = frozenset({408, 429, 502, 503, 504})
"""Failures that pass: RFC 9110 (408, 502, 503, 504) and RFC 6585 (429)."""
FIRST_BACKOFF = 0.5
MAX_BACKOFF = 8.0


def told(headers: Mapping[str, str]) -> bool | None:
    """Read `x-should-retry`; None when the server does not say."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").lower())


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read `Retry-After` (RFC 9110, 10.2.3), seconds or a date, as seconds from now."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = email.utils.parsedate_to_datetime(value)
        except ValueError:
            return None
        if moment.tzinfo is None:  # the zone "-0000" is UTC
            moment = moment.replace(tzinfo=datetime.UTC)
        seconds = (moment - datetime.datetime.now(datetime.UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def backoff(failures: int, random: Callable[[], float]) -> float:
    """Seconds to wait after so many failures: exponential with full jitter.

    Uniform between 0 and a bound that doubles from 0.5 to 8 seconds.
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    return random() * float(min(MAX_BACKOFF, FIRST_BACKOFF * 2 ** (failures - 1)))
