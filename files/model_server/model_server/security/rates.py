# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""How much one client or address may use: requests and tokens a minute, and requests at once."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from limits import RateLimitItem, RateLimitItemPerMinute

from ..errors import RateLimited
from ..settings import RatesSettings
from .addresses import host_of
from .authentication import Client
from .usage import Count, Usage

_BUSY_RETRY_AFTER = 1


class Admission:
    """One admitted request: who sent it, headers for its answer, and what it gives back."""

    def __init__(
        self, client: Client, headers: dict[str, str], on_release: Callable[[int], None]
    ) -> None:
        self.client = client
        self.headers = headers
        self._on_release = on_release
        self._held = threading.Lock()

    def release(self, tokens: int) -> None:
        """Count its tokens and give back its place; a second call does nothing."""
        if self._held.acquire(blocking=False):
            self._on_release(tokens)


class Rates:
    """Counts for each client by its name, and for each address.

    Tokens are known only when a request has ended: it is admitted while any remain, so one request
    (or as many as run at once) may exceed the limit.
    """

    def __init__(
        self,
        settings: RatesSettings,
        usage: Usage,
        place_seconds: int,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._usage = usage
        self._place_seconds = place_seconds
        self._clock = clock

    def count_address(self, address: str) -> None:
        """Count a request of an address, whoever sent it, or raise RateLimited."""
        limit = self._settings.address_requests_per_minute
        if limit:
            item = RateLimitItemPerMinute(limit, namespace="address-requests")
            host = host_of(address)
            if self._usage.on(lambda store: store.add(item, host)) > limit:
                count = self._usage.on(lambda store: store.look(item, host))
                raise self._used_up("address_requests_per_minute", item, count)

    def admit(self, client: Client) -> Admission:
        """Count a request of a client and take its place, or raise RateLimited."""
        own, service = client.limits, self._settings
        key = f"{client.method}:{client.name}"
        tokens = _per_minute("tokens", own.tokens_per_minute, service.tokens_per_minute)
        requests = _per_minute("requests", own.requests_per_minute, service.requests_per_minute)
        headers: dict[str, str] = {}
        if tokens is not None:
            count = self._usage.on(lambda store: store.look(tokens, key))
            headers = self._headers(tokens, count)
            if not count.allowed:
                raise self._used_up("tokens_per_minute", tokens, count)
        if requests is not None:
            count = self._usage.on(lambda store: store.hit(requests, key))
            headers = self._headers(requests, count)
            if not count.allowed:
                raise self._used_up("requests_per_minute", requests, count)
        place = self._take(key, _own(own.concurrency, service.concurrency), headers)

        def release(used: int) -> None:
            if place is not None:
                self._usage.give(key, place)
            if tokens is not None and used:
                self._usage.on(lambda store: store.add(tokens, key, cost=used))

        return Admission(client, headers, release)

    def _take(self, key: str, limit: int, headers: dict[str, str]) -> str | None:
        if not limit:
            return None
        place = self._usage.on(lambda store: store.take(key, limit, self._place_seconds))
        if place is None:
            raise RateLimited(
                f"{limit} requests at once are allowed, and as many are in work; wait for one.",
                retry_after=_BUSY_RETRY_AFTER,
                details={"limit": "concurrency", "allowed": limit},
                headers=headers,
            )
        return place

    def _used_up(self, name: str, item: RateLimitItem, count: Count) -> RateLimited:
        seconds = max(1, self._seconds_left(count))
        return RateLimited(
            f"{name} is {item.amount}, and used up; send the request again in {seconds} s.",
            retry_after=seconds,
            details={"limit": name, "allowed": item.amount},
            headers=self._headers(item, count),
        )

    def _headers(self, item: RateLimitItem, count: Count) -> dict[str, str]:
        """Headers of draft-ietf-httpapi-ratelimit-headers-06; the reset is in seconds."""
        return {
            "RateLimit-Limit": str(item.amount),
            "RateLimit-Remaining": str(count.remaining),
            "RateLimit-Reset": str(self._seconds_left(count)),
        }

    def _seconds_left(self, count: Count) -> int:
        return max(0, math.ceil(count.reset - self._clock()))


def _own(own: int | None, service: int) -> int:
    return service if own is None else own


def _per_minute(what: str, own: int | None, service: int) -> RateLimitItem | None:
    limit = _own(own, service)
    return RateLimitItemPerMinute(limit, namespace=what) if limit else None
