# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets: what is missing or malformed is named, and none is shown; keys and passwords hashed."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._declaration import (
    merge,
    normalise,
)
from ansible_collections.modelops.serving.plugins.module_utils._secrets import (
    render_secrets,
    secret_problems,
)

SIGNING = "s" * 32
AES = base64.b64encode(bytes(32)).decode()
DECLARED = {
    "model": {"source": "package", "id": "tiny", "revision": "1"},
    "domain": "tiny.example.com",
}
EVERYTHING = {
    "task": "chat",
    "authentication": {
        "methods": ["api_key", "jwt"],
        "api_keys": {"ci": {"expires": "2027-06-30", "scopes": ["chat"], "concurrency": 2}},
        "users": {"ada": {"requests_per_minute": 0}},
    },
    "conversations": {"keep": True},
}
SECRETS = {
    "api_keys": {
        "ci": {
            "key": "new key",
            "created": "2026-10-01",
            "expires": "2027-12-31",
            "previous": {"key": "old key", "expires": "2026-10-08T12:00:00Z"},
        },
        "ops": "bare key",
    },
    "users": {"ada": {"password": "lovelace", "created": datetime.date(2026, 1, 2)}, "bob": "b"},
    "signing_keys": [{"kid": "2026-10", "secret": SIGNING}],
    "conversation_keys": [{"version": "1", "key": AES}],
    "audit_key": "a" * 32,
}


def service(**changes):
    return normalise({"tiny": merge(DECLARED, changes)})["tiny"]


def problems(secrets, **changes):
    return secret_problems({"tiny": service(**changes)}, {"tiny": secrets})


def test_a_service_with_api_keys_needs_one():
    assert secret_problems({"tiny": service()}, {}) == [
        "model_service_secrets.tiny.api_keys is None: give at least one key, as in "
        "{tiny: {api_keys: {ops: KEY}}}"
    ]
    assert problems({"api_keys": {"ops": "k"}}) == []
    assert secret_problems({"tiny": service(state="absent")}, {}) == []


def test_everything_that_is_called_for_is_asked_for():
    missing = problems({}, **merge(EVERYTHING, {"authentication": {"api_keys": None}}))
    assert [line.split(" ")[0].rpartition(".")[2] for line in missing] == [
        "api_keys",
        "users",
        "signing_keys",
        "conversation_keys",
        "ada",
    ]
    assert problems(SECRETS, **EVERYTHING) == []


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        ({"api_key": {}}, "api_key is unknown: did you mean 'api_keys'"),
        ({"api_keys": ["hidden"]}, "api_keys is no mapping"),
        ({"api_keys": {"ci": {"created": "2026-01-01"}}}, "api_keys.ci has no key"),
        ({"api_keys": {"ci": {"key": "hidden", "expires": "soon"}}}, "ci.expires is 'soon'"),
        ({"api_keys": {"ci": {"key": "hidden", "previous": {}}, "x": ""}}, "api_keys.x has no key"),
        ({"users": {"ada": None}}, "users.ada has no password"),
        ({"signing_keys": {"kid": "1"}}, "signing_keys is no list"),
        ({"signing_keys": [{"secret": "hidden" * 9}]}, "signing_keys[0] is incomplete"),
        (
            {"signing_keys": [{"kid": "1", "secret": "hidden"}]},
            "signing_keys[0].secret is too short",
        ),
        (
            {"signing_keys": [{"kid": "1", "secret": "hidden" * 9}] * 3},
            "signing_keys[1].kid comes twice",
        ),
        ({"conversation_keys": [{"version": "1", "key": "hidden"}]}, "no key of AES-256"),
        ({"audit_key": "hidden"}, "audit_key is too short"),
    ],
)
def test_what_is_malformed_is_named_without_the_secret(secrets, said):
    found = problems(secrets)
    assert any(said in line for line in found), found
    assert not any("hidden" in line for line in found)


def test_secrets_that_are_no_mapping():
    assert "is no mapping" in problems(["hidden"])[0]


def test_keys_are_hashed_and_the_earlier_end_counts():
    keys = render_secrets(service(**EVERYTHING), SECRETS)["api_keys"]
    assert [(key["name"], key["sha256"]) for key in keys] == [
        (name, hashlib.sha256(key).hexdigest())
        for name, key in (("ci", b"new key"), ("ci", b"old key"), ("ops", b"bare key"))
    ]
    assert keys[0]["expires"] == "2027-06-30T00:00:00+00:00"
    assert keys[0]["created"] == "2026-10-01T00:00:00+00:00"
    assert (keys[0]["scopes"], keys[0]["limits"]) == (["chat"], {"concurrency": 2})
    assert keys[1]["expires"] == "2026-10-08T12:00:00+00:00"
    assert set(keys[2]) == {"name", "sha256"}


def test_passwords_are_hashed_as_werkzeug_does():
    ada, bob = render_secrets(service(**EVERYTHING), SECRETS)["users"]
    method, salt, digest = ada["password_hash"].split("$")
    cost = {"n": 2**15, "r": 8, "p": 1, "maxmem": 132 * 2**20}
    assert method == "scrypt:32768:8:1"
    assert digest == hashlib.scrypt(b"lovelace", salt=salt.encode(), **cost).hex()
    assert ada["created"] == "2026-01-02T00:00:00+00:00" and ada["limits"] == {
        "requests_per_minute": 0
    }
    assert bob["password_hash"].split("$")[1] != salt


def test_a_salt_depends_on_service_user_and_signing_key_but_not_on_the_password():
    def salt(secrets=None, **changes):
        whole = service(**EVERYTHING)
        return render_secrets({**whole, **changes}, secrets or SECRETS)["users"][0][
            "password_hash"
        ].split("$")[1]

    assert salt() == salt()
    assert salt(name="other") != salt()
    assert salt({**SECRETS, "users": {"ada": "other"}}) == salt()
    assert salt({**SECRETS, "signing_keys": [{"kid": "2", "secret": "t" * 32}]}) != salt()


def test_nothing_is_rendered_that_is_not_called_for():
    rendered = render_secrets(
        service(), {**SECRETS, "upstream_token": "t", "redis_password": "r", "model_token": "m"}, ""
    )
    assert set(rendered) == {"api_keys", "audit_key"}
    shared = service(rate_limit={"storage": "redis://10.0.0.1:6379/0"})
    assert render_secrets(shared, {**SECRETS, "redis_password": "r"})["redis_password"] == "r"


def test_the_hosts_own_audit_key_stands_in():
    assert render_secrets(service(), {}, "host key")["audit_key"] == "host key"
    assert render_secrets(service(), SECRETS, "host key")["audit_key"] == "a" * 32
    masked = service(audit={"input": "masked"})
    assert "audit_key" not in render_secrets(masked, SECRETS, "host key")


def test_a_second_rendering_is_the_same():
    whole = service(**EVERYTHING)
    assert json.dumps(render_secrets(whole, SECRETS)) == json.dumps(render_secrets(whole, SECRETS))
