# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Credentials: what is refused, and that a refusal tells no secret."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from werkzeug.security import generate_password_hash

from access import ALICE, SIGNING, api_key, credentials_of


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"api_keys": [api_key("k", "alice")], "users": [ALICE]}, "share alice"),
        ({"users": [ALICE, ALICE]}, "users holds alice twice"),
        ({"signing_keys": [SIGNING[0], SIGNING[0]]}, "signing_keys holds new twice"),
        ({"api_keys": [api_key("k", "a"), api_key("k", "b")]}, "api_keys holds a key twice"),
        ({"api_keys": [api_key("k", expires="2026-01-01T00:00:00")]}, "timezone"),
        ({"api_keys": [api_key("k", scopes=["all"])]}, "Input should be 'embeddings'"),
        ({"users": [{"name": "a", "password_hash": "scrypt:1025:8:1$s$00"}]}, "not usable"),
        ({"users": [{"name": "a", "password_hash": "scrypt:536870912:8:1$s$00"}]}, "not usable"),
        ({"users": [{"name": "a", "password_hash": "scrypt:512:8:1$s$00"}]}, "not usable"),
        ({"users": [{"name": "a", "password_hash": "scrypt:1024:0:1$s$00"}]}, "not usable"),
        ({"users": [{"name": "a", "password_hash": "pbkdf2:sha256:1$s$00"}]}, "should match"),
        ({"signing_keys": [{"kid": "a", "secret": "short"}]}, "at least 32"),
    ],
)
def test_a_contradiction_is_refused(content: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        credentials_of(**content)


def test_two_keys_of_one_name_are_one_client() -> None:
    assert len(credentials_of(api_keys=[api_key("a"), api_key("b")]).api_keys) == 2


def test_a_hash_as_werkzeug_makes_it_is_accepted() -> None:
    made = generate_password_hash("x", "scrypt:1024:8:1")
    assert credentials_of(users=[{"name": "a", "password_hash": made}]).users[0].name == "a"


def test_no_secret_is_shown() -> None:
    shown = repr(credentials_of(users=[ALICE], signing_keys=SIGNING, redis_password="hunter2"))
    for secret in (ALICE["password_hash"], SIGNING[0]["secret"], "hunter2"):
        assert secret not in shown
