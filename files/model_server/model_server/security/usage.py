# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Where usage is counted: in memory, or in a Redis that several hosts share.

Fixed windows, not moving ones: a window is one number whatever its limit (tokens go to a billion);
it takes what is known only afterwards, also beyond the limit; it ends at a known time, which is
what `Retry-After` and `RateLimit-Reset` mean; and in Redis it lives by Redis' clock, so that hosts
need not agree on the time. The price: around the end of a window up to twice the limit may pass
within a minute. What is computed at once is bounded elsewhere, by places and queues.
"""

from __future__ import annotations

import threading
import uuid
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog
from limits import RateLimitItem
from limits.storage import RedisStorage, Storage
from redis import ConnectionPool, Redis, RedisError
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from .windows import MemoryWindows

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_TIMEOUT_SECONDS = 0.25
_RETRY_SECONDS = 5
_WARN_SECONDS = 60

# KEYS: places of one client. ARGV: limit, seconds, the new place. Ended places are dropped first,
# so those of a host that has crashed come back; the time is Redis' own.
_TAKE = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
"""


@dataclass(frozen=True)
class Count:
    """How a window stands: whether it is kept, what remains, and when it ends (epoch, seconds)."""

    allowed: bool
    remaining: int
    reset: float


class Store(ABC):
    """One place where usage is counted."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def add(self, item: RateLimitItem, *key: str, cost: int = 1) -> int:
        """Count `cost`, which the window keeps even beyond the limit; return its count."""
        return self._storage.incr(item.key_for(*key), item.get_expiry(), cost)

    def hit(self, item: RateLimitItem, *key: str) -> Count:
        """Count one; `allowed` when it still fits."""
        count = self.add(item, *key)
        reset = self._storage.get_expiry(item.key_for(*key))
        return Count(count <= item.amount, max(0, item.amount - count), reset)

    def look(self, item: RateLimitItem, *key: str) -> Count:
        """Tell how a window stands; `allowed` when one more fits."""
        name = item.key_for(*key)
        remaining = max(0, item.amount - self._storage.get(name))
        return Count(remaining > 0, remaining, self._storage.get_expiry(name))

    def clear(self, item: RateLimitItem, *key: str) -> None:
        """Forget a window."""
        self._storage.clear(item.key_for(*key))

    @abstractmethod
    def take(self, name: str, limit: int, seconds: int) -> str | None:
        """Take one of `limit` places for at most `seconds`; None when there is none."""

    @abstractmethod
    def give(self, name: str, place: str) -> None:
        """Give a place back; a place that was taken elsewhere is none here."""


class MemoryStore(Store):
    """Counts of this process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(MemoryWindows(clock))
        self._clock = clock
        self._lock = threading.Lock()
        self._places: defaultdict[str, dict[str, float]] = defaultdict(dict)

    def take(self, name: str, limit: int, seconds: int) -> str | None:
        """Take a place."""
        now = self._clock()
        with self._lock:
            places = {place: end for place, end in self._places[name].items() if end > now}
            self._places[name] = places
            if len(places) >= limit:
                return None
            place = uuid.uuid4().hex
            places[place] = now + seconds
            return place

    def give(self, name: str, place: str) -> None:
        """Give a place back."""
        with self._lock:
            self._places[name].pop(place, None)


class RedisStore(Store):
    """Counts that several hosts share. Every method may raise RedisError, after 0.25 s at most."""

    def __init__(self, uri: str, password: str | None, prefix: str) -> None:
        pool = ConnectionPool.from_url(
            uri.replace("redis+unix://", "unix://", 1),
            password=password,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            # Once, at once: Redis may have closed a connection that was idle.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
        super().__init__(RedisStorage(uri, connection_pool=pool, key_prefix=prefix))
        self._prefix = prefix
        self._redis = Redis(connection_pool=pool)
        self._take = self._redis.register_script(_TAKE)

    def take(self, name: str, limit: int, seconds: int) -> str | None:
        """Take a place."""
        place = uuid.uuid4().hex
        taken = self._take(keys=[self._key(name)], args=[limit, seconds, place])
        return place if taken else None

    def give(self, name: str, place: str) -> None:
        """Give a place back."""
        self._redis.zrem(self._key(name), place)

    def _key(self, name: str) -> str:
        return f"{self._prefix}:places:{name}"


class Usage:
    """Counts in Redis where one is declared, and in memory while it cannot be reached.

    A dead Redis refuses nobody: each process then counts for itself. It is tried again every five
    seconds, by one request, so that the others do not wait for it.
    """

    def __init__(
        self, uri: str, *, password: str | None, prefix: str, clock: Callable[[], float]
    ) -> None:
        self._clock = clock
        self._memory = MemoryStore(clock)
        self._redis = None if uri == "memory://" else RedisStore(uri, password, prefix)
        self._lock = threading.Lock()
        self._fallback = False
        self._retry_at = 0.0
        self._warn_at = 0.0

    @property
    def fallback(self) -> bool:
        """Whether counts are kept in memory although a Redis is declared."""
        return self._fallback

    def on(self, operation: Callable[[Store], T]) -> T:
        """Run an operation on the store in use and return its result."""
        if self._redis is not None and self._may_try():
            try:
                result = operation(self._redis)
            except RedisError as error:
                self._failed(error)
            else:
                self._worked()
                return result
        return operation(self._memory)

    def give(self, name: str, place: str) -> None:
        """Give a place back, wherever it was taken. One that Redis cannot hear of ends by time."""
        self._memory.give(name, place)
        self.on(lambda store: store.give(name, place))

    def _may_try(self) -> bool:
        if not self._fallback:
            return True
        with self._lock:
            now = self._clock()
            if now < self._retry_at:
                return False
            self._retry_at = now + _RETRY_SECONDS
            return True

    def _failed(self, error: RedisError) -> None:
        with self._lock:
            now = self._clock()
            self._fallback = True
            self._retry_at = now + _RETRY_SECONDS
            warn = now >= self._warn_at
            if warn:
                self._warn_at = now + _WARN_SECONDS
        if warn:
            _log.warning(
                "limits_fallback",
                reason=str(error),
                effect="Each process counts for itself; check rates.storage and that Redis runs.",
            )

    def _worked(self) -> None:
        if self._fallback:
            with self._lock:
                self._fallback = False
            _log.info("limits_restored")
