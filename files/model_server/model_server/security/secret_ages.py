# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Metrics on secrets that wait to be rotated; their labels are the names of the credentials."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ..credentials import Credentials


@dataclass(frozen=True)
class _Secret:
    kind: str
    name: str
    created: datetime | None
    expires: datetime | None = None

    @property
    def label(self) -> list[str]:
        return [self.kind, self.name]


class SecretAges(Collector):
    """Ages at the time of collection. Of several secrets under one name, the oldest that is still
    accepted counts for the age, and the last to expire for the expiry.
    """

    def __init__(self, credentials: Credentials, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._secrets = sorted(_secrets(credentials), key=lambda secret: secret.label)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Compute both metrics."""
        age = GaugeMetricFamily(
            "model_server_secret_age_seconds",
            "Age of the oldest secret of that name that is accepted.",
            labels=["kind", "name"],
        )
        expiry = GaugeMetricFamily(
            "model_server_secret_expiry_seconds",
            "Time until no secret of that name is accepted; negative afterwards.",
            labels=["kind", "name"],
        )
        now = self._clock()
        for label, group in groupby(self._secrets, key=lambda secret: secret.label):
            secrets = list(group)
            created = [
                secret.created.timestamp()
                for secret in secrets
                if secret.created and not (secret.expires and secret.expires.timestamp() <= now)
            ]
            if created:
                age.add_metric(label, now - min(created))
            expires = [secret.expires.timestamp() for secret in secrets if secret.expires]
            if len(expires) == len(secrets):
                expiry.add_metric(label, max(expires) - now)
        yield age
        yield expiry


def _secrets(credentials: Credentials) -> Iterable[_Secret]:
    for key in credentials.api_keys:
        yield _Secret("api_key", key.name, key.created, key.expires)
    for user in credentials.users:
        yield _Secret("user", user.name, user.created)
    for signing in credentials.signing_keys:
        yield _Secret("signing_key", signing.kid, signing.created)
    for encryption in credentials.conversation_keys:
        yield _Secret("conversation_key", encryption.version, encryption.created)
