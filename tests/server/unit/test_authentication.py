# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""API keys and tokens: what is accepted, and what the refusal says."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from access import ALICE, BOTH, HERE, PASSWORD, SIGN_IN, SIGNING, access_of, api_key
from fakes import FakeClock
from model_server.errors import (
    AddressNotAllowed,
    InsufficientScope,
    ServiceError,
    TokenExpired,
    Unauthenticated,
)
from model_server.security.access import Access, Client

CLAIMS: dict[str, Any] = {
    "iss": "minilm",
    "aud": "all-MiniLM-L6-v2",
    "sub": "alice",
    "jti": "1",
    "scopes": ["embeddings", "models"],
}


def client_of(access: Access, scope: Any = "embeddings", **headers: str) -> Client:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return access.admit(named, HERE, scope).client


def bearer(access: Access, sent: str, scope: Any = "embeddings") -> Client:
    return client_of(access, scope, Authorization=f"Bearer {sent}")


def signed(
    key: Any = None, kid: str | None = "new", algorithm: str = "HS256", **claims: Any
) -> str:
    now = int(time.time())
    content = {**CLAIMS, "iat": now, "exp": now + 60, **claims}
    content = {name: value for name, value in content.items() if value is not None}
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(content, key or SIGNING[0]["secret"], algorithm=algorithm, headers=headers)


@pytest.fixture
def both() -> Access:
    """A door for keys and tokens."""
    return access_of({**SIGN_IN, "api_keys": [api_key("k")]}, authentication=BOTH)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer k"},
        {"authorization": "bearer  k "},
        {"X-API-Key": "k"},
        {"x-api-key": "k"},
        {"Authorization": "Basic abc", "X-API-Key": "k"},
    ],
)
def test_a_key_is_sent_in_two_ways(headers: dict[str, str]) -> None:
    client = access_of().admit(headers, HERE, "embeddings").client
    assert (client.name, client.method) == ("demo", "api_key")


def test_several_keys_have_their_own_names() -> None:
    access = access_of({"api_keys": [api_key("one", "a"), api_key("two", "b")]})
    assert bearer(access, "one").name == "a"
    assert bearer(access, "two").name == "b"
    with pytest.raises(Unauthenticated):
        bearer(access, "three")


def test_every_key_is_compared_whichever_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def compare(known: str, sent: str) -> bool:
        compared.append(known)
        return known == sent

    monkeypatch.setattr("model_server.security.authentication.hmac.compare_digest", compare)
    keys = [api_key(name, name) for name in ("a", "b", "c")]
    bearer(access_of({"api_keys": keys}), "a")
    assert compared == [key["sha256"] for key in keys]


def test_a_key_expires_while_its_successor_of_the_same_name_holds() -> None:
    clock = FakeClock()
    keys = [api_key("new"), api_key("old", expires="1970-01-01T00:01:00Z")]
    access = access_of({"api_keys": keys}, clock)
    clock.advance(59)
    assert bearer(access, "old") == bearer(access, "new")
    clock.advance(1)
    with pytest.raises(TokenExpired, match="expired") as caught:
        bearer(access, "old")
    assert 'error="invalid_token"' in caught.value.headers["WWW-Authenticate"]
    assert bearer(access, "new").name == "demo"


def test_a_key_opens_only_its_scopes() -> None:
    access = access_of({"api_keys": [api_key("k", scopes=["models"])]})
    assert bearer(access, "k", "models").scopes == {"models"}
    with pytest.raises(InsufficientScope, match="'embeddings'; 'demo' has models") as caught:
        bearer(access, "k", "embeddings")
    assert 'scope="embeddings"' in caught.value.headers["WWW-Authenticate"]


def test_who_sends_nothing_is_told_what_to_send(both: Access) -> None:
    with pytest.raises(Unauthenticated, match=r"API key .* or a token of `/login`") as caught:
        client_of(both)
    assert caught.value.headers["WWW-Authenticate"] == 'Bearer realm="model_server"'


def test_a_token_is_told_from_a_key_by_its_form(both: Access) -> None:
    assert both.login is not None
    token = both.login.sign_in("alice", PASSWORD, HERE)
    assert bearer(both, token).method == "jwt"
    assert bearer(both, "k").method == "api_key"
    # Nginx sends the credential of Authorization as X-API-Key, too.
    assert client_of(both, Authorization=f"Bearer {token}", X_API_Key=token).method == "jwt"
    with pytest.raises(Unauthenticated, match="not known"):
        client_of(both, X_API_Key=token)


def test_a_key_with_dots_works_where_there_are_no_tokens() -> None:
    assert bearer(access_of({"api_keys": [api_key("a.b.c")]}), "a.b.c").name == "demo"


def test_a_token_says_what_it_should(both: Access) -> None:
    assert both.login is not None
    token = both.login.sign_in("alice", PASSWORD, HERE)
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "kid": "new", "typ": "JWT"}
    claims = jwt.decode(token, options={"verify_signature": False})
    assert set(claims) == {"iss", "aud", "sub", "iat", "exp", "jti", "scopes"}
    assert claims["exp"] - claims["iat"] == both.login.token_seconds == 3600
    other = jwt.decode(
        both.login.sign_in("alice", PASSWORD, HERE), options={"verify_signature": False}
    )
    assert other["jti"] != claims["jti"]


def test_issuer_and_audience_can_be_declared() -> None:
    names = {"methods": ["jwt"], "issuer": "https://id.example", "audience": "models"}
    access = access_of(SIGN_IN, authentication=names)
    assert access.login is not None
    token = access.login.sign_in("alice", PASSWORD, HERE)
    assert bearer(access, token).name == "alice"
    assert bearer(access, signed(iss="https://id.example", aud="models")).name == "alice"
    with pytest.raises(Unauthenticated):
        bearer(access, signed())


def test_signing_keys_are_rotated_without_a_gap() -> None:
    jwt_only = {"methods": ["jwt"]}
    before = access_of({**SIGN_IN, "signing_keys": SIGNING[1:]}, authentication=jwt_only)
    during = access_of(SIGN_IN, authentication=jwt_only)
    after = access_of({**SIGN_IN, "signing_keys": SIGNING[:1]}, authentication=jwt_only)
    assert before.login is not None
    token = before.login.sign_in("alice", PASSWORD, HERE)
    assert bearer(during, token).name == "alice"
    with pytest.raises(Unauthenticated):
        bearer(after, token)


def unsigned(**header: Any) -> str:
    def part(content: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    claims = {**CLAIMS, "iat": int(time.time()), "exp": int(time.time()) + 60}
    return f"{part({'kid': 'new', **header})}.{part(claims)}."


RSA = rsa.generate_private_key(65537, 2048)
REFUSED = {
    "another secret": lambda: signed("x" * 32),
    "the other key's secret": lambda: signed(SIGNING[1]["secret"]),
    "an unknown kid": lambda: signed(kid="other"),
    "no kid": lambda: signed(kid=None),
    "HS512 with the secret": lambda: signed(algorithm="HS512"),
    "RS256": lambda: signed(RSA, algorithm="RS256"),
    "none": lambda: unsigned(alg="none"),
    "None": lambda: unsigned(alg="None"),
    "no algorithm": unsigned,
    "HS256 without signature": lambda: unsigned(alg="HS256"),
    "a kid that is no text": lambda: unsigned(alg="HS256", kid=["new"]),
    "another issuer": lambda: signed(iss="other"),
    "another audience": lambda: signed(aud="other"),
    "several audiences": lambda: signed(aud=["all-MiniLM-L6-v2", "other"]),
    "somebody unknown": lambda: signed(sub="bob"),
    "no subject": lambda: signed(sub=None),
    "no expiry": lambda: signed(exp=None),
    "no jti": lambda: signed(jti=None),
    "no scopes": lambda: signed(scopes=None),
    "scopes that are a number": lambda: signed(scopes=5),
    "scopes that are lists": lambda: signed(scopes=[[]]),
    "the future": lambda: signed(iat=int(time.time()) + 60),
    "text": lambda: "a.b.c",
    "dots": lambda: "..",
    "umlauts": lambda: "\u00e4.\u00f6.\u00fc",
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_token_is_refused(both: Access, case: str) -> None:
    with pytest.raises(Unauthenticated, match="not valid") as caught:
        bearer(both, REFUSED[case]())
    assert 'error="invalid_token"' in caught.value.headers["WWW-Authenticate"]


def test_a_right_token_of_the_same_making_is_accepted(both: Access) -> None:
    assert bearer(both, signed()).scopes == {"embeddings", "models"}
    assert bearer(both, signed(SIGNING[1]["secret"], kid="old")).name == "alice"


def test_a_token_expires_with_a_small_leeway(both: Access) -> None:
    now = int(time.time())
    assert bearer(both, signed(exp=now - 2)).name == "alice"
    with pytest.raises(TokenExpired, match="sign in again"):
        bearer(both, signed(exp=now - 10))


def test_scopes_that_a_user_has_lost_are_gone_from_older_tokens() -> None:
    user = {**ALICE, "scopes": ["models", "chat"]}
    access = access_of({**SIGN_IN, "users": [user]}, authentication={"methods": ["jwt"]})
    assert bearer(access, signed(), "models").scopes == {"models"}
    with pytest.raises(InsufficientScope):
        bearer(access, signed(), "embeddings")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1"])
def test_an_open_service_answers_on_its_own_host(address: str) -> None:
    access = access_of(authentication={"methods": ["none"]})
    client = access.admit({}, address, "predict").client
    assert (client.name, client.method) == ("anonymous", "none")


@pytest.mark.parametrize("address", ["192.0.2.1", "", "10.0.0.1", "2001:db8::1"])
def test_an_open_service_answers_nowhere_else(address: str) -> None:
    access = access_of(authentication={"methods": ["none"]})
    with pytest.raises(AddressNotAllowed, match="its own host"):
        access.admit({"Authorization": "Bearer k"}, address, "predict")


def test_no_message_holds_what_was_sent(both: Access) -> None:
    for sent in ("secret-key", signed(sub="bob"), unsigned(alg="none")):
        with pytest.raises(ServiceError) as caught:
            bearer(both, sent)
        assert sent not in f"{caught.value.message} {caught.value.headers}"
