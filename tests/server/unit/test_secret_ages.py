# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Metrics on secrets that wait to be rotated."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from access import ALICE, SIGNING, api_key, credentials_of
from fakes import FakeClock
from model_server.security.secret_ages import SecretAges

AT_10 = "1970-01-01T00:00:10Z"
AT_40 = "1970-01-01T01:00:40+01:00"


def test_ages_and_expiries_are_those_of_the_time_of_collection() -> None:
    clock = FakeClock()
    registry = CollectorRegistry()
    credentials = credentials_of(
        api_keys=[
            api_key("new", created=AT_40),
            api_key("old", created=AT_10, expires=AT_40),
            api_key("b", "brief", expires=AT_10),
            api_key("c", "brief", expires=AT_40),
        ],
        users=[{**ALICE, "created": AT_10}],
        signing_keys=[{**SIGNING[0], "created": AT_10}, SIGNING[1]],
    )
    registry.register(SecretAges(credentials, clock))

    def value(metric: str, kind: str, name: str) -> float | None:
        labels = {"kind": kind, "name": name}
        return registry.get_sample_value(f"model_server_secret_{metric}_seconds", labels)

    clock.advance(30)
    assert value("age", "user", "alice") == 20
    assert value("age", "signing_key", "new") == 20
    assert value("age", "signing_key", "old") is None, "nobody said when it was made"
    assert value("age", "api_key", "demo") == 20, "the older one is still accepted"
    assert value("expiry", "api_key", "demo") is None, "its successor does not expire"
    assert value("expiry", "api_key", "brief") == 10, "the last one counts"
    clock.advance(20)
    assert value("age", "api_key", "demo") == 10
    assert value("expiry", "api_key", "brief") == -10
