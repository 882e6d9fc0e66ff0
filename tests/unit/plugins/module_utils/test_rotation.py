# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotation: what is due gets a successor, what is replaced stays valid as long as it is needed."""

from __future__ import annotations

import base64
import copy
from datetime import datetime, timedelta, timezone

from ansible_collections.modelops.serving.plugins.module_utils._rotation import (
    Rules,
    rotate,
)
from ansible_collections.modelops.serving.plugins.module_utils._secrets import secret_problems

NOW = datetime(2026, 11, 28, 12, tzinfo=timezone.utc)
OLD, YOUNG = "2026-01-01", "2026-11-01"
SERVICE = {
    "basic_auth": [],
    "name": "tiny",
    "state": "present",
    "authentication": {"methods": ["api_key", "jwt"], "api_keys": {}, "users": {}},
    "conversations": {"keep": True},
}
SECRETS = {
    "api_keys": {"bare": "key of unknown age", "ci": {"key": "young", "created": YOUNG}},
    "users": {"ada": {"password": "lovelace", "created": OLD}},
    "signing_keys": [
        {"kid": "b", "secret": "s" * 32, "created": OLD},
        {"kid": "a", "secret": "t" * 32, "created": OLD},
    ],
    "conversation_keys": [
        {"version": str(number), "key": base64.b64encode(bytes(32)).decode(), "created": OLD}
        for number in (3, 2, 1)
    ],
    "audit_key": "a" * 32,
    "model_token": "token",
}


def rotated(secrets=None, service=None, **rules):
    return rotate(secrets or SECRETS, service or SERVICE, Rules(NOW, **rules))


def test_only_what_is_old_is_rotated():
    new, report = rotated()
    rows = {(row["kind"], row["name"]): (row["age_days"], row["rotated"]) for row in report}
    assert rows == {
        ("signing_keys", "b"): (331, True),
        ("conversation_keys", "3"): (331, True),
        ("api_keys", "bare"): (None, True),
        ("api_keys", "ci"): (27, False),
        ("audit_key", "audit_key"): (None, True),
        ("users", "ada"): (331, False),
    }
    assert new["api_keys"]["ci"] == SECRETS["api_keys"]["ci"]
    assert (new["users"], new["model_token"]) == (SECRETS["users"], "token")


def test_the_given_secrets_stay_as_they_were():
    before = copy.deepcopy(SECRETS)
    rotated(everything=True)
    assert before == SECRETS


def test_the_last_signing_key_stays_valid_and_the_one_before_goes():
    keys = rotated()[0]["signing_keys"]
    assert [key["kid"] for key in keys] == ["2026-11-28", "b"]
    assert keys[0]["created"] == NOW.isoformat() and len(keys[0]["secret"]) >= 32


def test_every_conversation_key_is_kept():
    keys = rotated()[0]["conversation_keys"]
    assert [key["version"] for key in keys] == ["2026-11-28", "3", "2", "1"]
    assert len(base64.b64decode(keys[0]["key"])) == 32


def test_a_replaced_api_key_is_valid_for_the_overlap():
    key = rotated(overlap=timedelta(days=3))[0]["api_keys"]["bare"]
    assert key["previous"] == {
        "key": "key of unknown age",
        "expires": (NOW + timedelta(days=3)).isoformat(),
    }
    assert key["key"] != "key of unknown age" and key["created"] == NOW.isoformat()


def test_a_key_that_ends_does_not_live_longer_by_rotation():
    ends = {"ci": {"key": "k", "created": OLD, "expires": "2026-11-30"}}
    key = rotated({**SECRETS, "api_keys": ends})[0]["api_keys"]["ci"]
    assert key["expires"] == "2026-11-30"
    assert key["previous"]["expires"] == "2026-11-30T00:00:00+00:00"


def test_what_is_called_for_and_missing_is_made():
    new, report = rotated({"api_keys": {"ci": {"key": "k", "created": YOUNG}}})
    assert [len(new[kind]) for kind in ("signing_keys", "conversation_keys")] == [1, 1]
    assert {row["kind"] for row in report if row["rotated"]} == {
        "signing_keys",
        "conversation_keys",
    }


def test_all_or_some_kinds():
    assert all(row["rotated"] for row in rotated(everything=True)[1] if row["kind"] != "users")
    some = rotated(kinds=("api_keys",))[1]
    assert {row["kind"] for row in some if row["rotated"]} == {"api_keys"}


def test_twice_on_one_day_makes_two_names():
    once = rotated()[0]
    twice = rotated(once, everything=True)[0]
    assert [key["kid"] for key in twice["signing_keys"]] == ["2026-11-28.2", "2026-11-28"]


def test_a_second_rotation_finds_nothing_due():
    new, report = rotated(rotated()[0])
    assert not any(row["rotated"] for row in report)
    assert new == rotated(new)[0]


def test_a_service_that_calls_for_nothing_gets_nothing():
    quiet = {**SERVICE, "authentication": {"methods": ["none"]}, "conversations": {"keep": False}}
    assert rotated({"model_token": "token"}, quiet) == ({"model_token": "token"}, [])


def test_what_a_rotation_makes_is_well_formed():
    assert secret_problems({"tiny": SERVICE}, {"tiny": rotated(everything=True)[0]}) == []


def test_no_secret_stands_in_the_report():
    new, report = rotated(everything=True)
    shown = str(report)
    for secret in (new["signing_keys"][0]["secret"], new["api_keys"]["bare"]["key"], "lovelace"):
        assert secret not in shown
