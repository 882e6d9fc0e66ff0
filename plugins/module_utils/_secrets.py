# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secrets of one service: checked, and rendered as the file that its unit loads.

``model_service_secrets.<service>`` is written by people and by ``_rotation``; ``secrets.json`` is
read by the server. API keys become SHA-256, since they are random and long. Passwords become scrypt
in Werkzeug's form, with Werkzeug's own cost. No message holds a secret.

The salt of a password is HMAC-SHA256 of service and user under the first signing key. So a second
run renders the same file, two services or users never share a salt, and nobody can make tables
beforehand. The password itself is no part of it: a fast hash of it would undo the slow one.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ._basic_auth import password_problems
from ._fields import iso_time

# Werkzeug 3.1, generate_password_hash: N, r and p; scrypt needs 128 x N x r bytes (RFC 7914).
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**15, 8, 1
_SCRYPT_MEMORY = 132 * 1024 * 1024
_AES_KEY_BYTES = 32
_LEAST_CHARACTERS = 32
_MOST_SIGNING_KEYS = 2
_LIMITS = ("requests_per_minute", "tokens_per_minute", "concurrency")
_KNOWN = (
    "api_keys",
    "users",
    "signing_keys",
    "conversation_keys",
    "audit_key",
    "upstream_token",
    "redis_password",
    "basic_passwords",
    "model_token",
    "mirror_tokens",
)


def secret_problems(services: Mapping[str, Any], secrets: Mapping[str, Any]) -> list[str]:
    """List what ``secrets`` lacks, or has wrong, for the services that are present."""
    problems: list[str] = []
    for name, service in services.items():
        if service["state"] == "present":
            where = f"model_service_secrets.{name}"
            own = secrets.get(name) or {}
            if not isinstance(own, Mapping):
                problems.append(f"{where} is no mapping: make it one, with {', '.join(_KNOWN)}")
                continue
            problems += _unknown(where, own)
            problems += _required(where, service, own)
            problems += _policies(name, service, own)
            problems += _malformed(where, own)
            problems += password_problems(service, own)
    return problems


def render_secrets(
    service: Mapping[str, Any], secrets: Mapping[str, Any], audit_key: str = ""
) -> dict[str, Any]:
    """Return the content of ``secrets.json`` for a complete ``service``.

    ``audit_key`` is that of the host, taken where ``secrets`` has none. Only what the declaration
    calls for is rendered. Raises ``ValueError`` for a time that is none.
    """
    authentication = service["authentication"]
    methods = authentication["methods"]
    rendered: dict[str, Any] = {}
    if "api_key" in methods:
        policies = authentication["api_keys"]
        rendered["api_keys"] = [
            entry
            for name, key in sorted((secrets.get("api_keys") or {}).items())
            for entry in _api_keys(str(name), _fields(key, "key"), policies.get(name) or {})
        ]
    if "jwt" in methods:
        signing = [_row(row, "secret", "kid") for row in secrets.get("signing_keys") or []]
        salting = str(signing[0]["secret"]).encode() if signing else b""
        rendered["signing_keys"] = signing
        rendered["users"] = [
            _user(service, str(name), _fields(user, "password"), salting)
            for name, user in sorted((secrets.get("users") or {}).items())
        ]
    if service["conversations"]["keep"]:
        rendered["conversation_keys"] = [
            _row(row, "key", "version") for row in secrets.get("conversation_keys") or []
        ]
    if service["audit"]["enabled"] and service["audit"]["input"] == "hash":
        rendered["audit_key"] = str(_fields(secrets.get("audit_key") or audit_key, "key")["key"])
    for name, wanted in (
        ("upstream_token", service["engine"]["name"] == "upstream"),
        ("redis_password", service["rate_limit"]["storage"] != "memory"),
    ):
        if wanted and secrets.get(name):
            rendered[name] = str(secrets[name])
    return rendered


def _api_keys(
    name: str, key: Mapping[str, Any], policy: Mapping[str, Any]
) -> Iterable[dict[str, Any]]:
    """Yield the entries of one name: its key, and the one before it for as long as it is valid."""
    yield _api_key(name, key, policy)
    if key.get("previous"):
        yield _api_key(name, _fields(key["previous"], "key"), policy)


def _api_key(name: str, key: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, Any]:
    ends = [iso_time(end) for end in (key.get("expires"), policy.get("expires")) if end]
    return _given(
        name=name,
        sha256=hashlib.sha256(str(key["key"]).encode()).hexdigest(),
        created=_time(key.get("created")),
        expires=min(ends, default=None),
        **_policy(policy),
    )


def _user(
    service: Mapping[str, Any], name: str, user: Mapping[str, Any], salting: bytes
) -> dict[str, Any]:
    owner = f"{service['name']}\0{name}".encode()
    salt = hmac.new(salting, owner, hashlib.sha256).hexdigest()[:32]
    policy = service["authentication"]["users"].get(name) or {}
    return _given(
        name=name,
        password_hash=_password_hash(str(user["password"]), salt),
        created=_time(user.get("created")),
        **_policy(policy),
    )


def _password_hash(password: str, salt: str) -> str:
    cost = {"n": _SCRYPT_N, "r": _SCRYPT_R, "p": _SCRYPT_P, "maxmem": _SCRYPT_MEMORY}
    digest = hashlib.scrypt(password.encode(), salt=salt.encode(), **cost).hex()
    return f"scrypt:{_SCRYPT_N}:{_SCRYPT_R}:{_SCRYPT_P}${salt}${digest}"


def _policy(policy: Mapping[str, Any]) -> dict[str, Any]:
    limits = {name: policy[name] for name in _LIMITS if policy.get(name) is not None}
    return {"scopes": policy.get("scopes"), "limits": limits or None}


def _row(row: Mapping[str, Any], secret: str, identifier: str) -> dict[str, Any]:
    return _given(
        **{identifier: str(row[identifier]), secret: str(row[secret])},
        created=_time(row.get("created")),
    )


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _fields(value: Any, secret: str) -> Mapping[str, Any]:
    """Return a secret with its dates; a bare one has none."""
    return value if isinstance(value, Mapping) else {secret: value}


def _time(value: Any) -> str | None:
    return iso_time(value) if value else None


def _unknown(where: str, secrets: Mapping[str, Any]) -> Iterable[str]:
    for key in secrets:
        if key not in _KNOWN:
            near = difflib.get_close_matches(str(key), _KNOWN, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"choose from {', '.join(_KNOWN)}"
            yield f"{where}.{key} is unknown: {hint}"


def _required(where: str, service: Mapping[str, Any], secrets: Mapping[str, Any]) -> Iterable[str]:
    methods = service["authentication"]["methods"]
    demands = {
        "api_keys": (
            "api_key" in methods,
            f"give at least one key, as in {{{service['name']}: {{api_keys: {{ops: KEY}}}}}}",
        ),
        "users": ("jwt" in methods, "give at least one user, as in {users: {ada: PASSWORD}}"),
        "signing_keys": (
            "jwt" in methods,
            "give one, as in [{kid: '2026-01', secret: TEXT}]; playbooks/rotate.yml makes it",
        ),
        "conversation_keys": (
            service["conversations"]["keep"],
            "give one, as in [{version: '2026-01', key: BASE64}]; playbooks/rotate.yml makes it",
        ),
    }
    for name, (demanded, remedy) in demands.items():
        if demanded and not secrets.get(name):
            yield f"{where}.{name} is None: {remedy}"


def _policies(name: str, service: Mapping[str, Any], secrets: Mapping[str, Any]) -> Iterable[str]:
    """Find rules for keys or users that there are none of."""
    for kind in ("api_keys", "users"):
        known = secrets.get(kind) if isinstance(secrets.get(kind), Mapping) else {}
        for client in service["authentication"][kind]:
            if client not in (known or {}):
                yield (
                    f"model_services.{name}.authentication.{kind}.{client} is a rule for nobody: "
                    f"model_service_secrets.{name}.{kind} has no '{client}'"
                )


def _malformed(where: str, secrets: Mapping[str, Any]) -> Iterable[str]:
    for kind, secret in (("api_keys", "key"), ("users", "password")):
        yield from _malformed_names(f"{where}.{kind}", secrets.get(kind) or {}, secret)
    signing = secrets.get("signing_keys") or []
    yield from _malformed_rows(f"{where}.signing_keys", signing, "secret", "kid")
    if len(signing) > _MOST_SIGNING_KEYS:
        yield f"{where}.signing_keys has {len(signing)} rows: keep the newest two"
    kept = secrets.get("conversation_keys") or []
    yield from _malformed_rows(f"{where}.conversation_keys", kept, "key", "version")
    audit = secrets.get("audit_key")
    if audit and len(str(_fields(audit, "key").get("key") or "")) < _LEAST_CHARACTERS:
        yield f"{where}.audit_key is too short: give at least {_LEAST_CHARACTERS} characters"


def _malformed_names(where: str, named: Any, secret: str) -> Iterable[str]:
    if not isinstance(named, Mapping):
        yield f"{where} is no mapping: make it one from names to the {secret} of each"
        return
    for name, value in named.items():
        for inside, fields in _with_previous(f"{where}.{name}", _fields(value, secret), secret):
            if not fields.get(secret):
                yield f"{inside} has no {secret}: give one"
            yield from _malformed_times(inside, fields)


def _with_previous(
    where: str, fields: Mapping[str, Any], secret: str
) -> Iterable[tuple[str, Mapping[str, Any]]]:
    yield where, fields
    if fields.get("previous"):
        yield f"{where}.previous", _fields(fields["previous"], secret)


def _malformed_rows(where: str, rows: Any, secret: str, identifier: str) -> Iterable[str]:
    if not isinstance(rows, Sequence) or isinstance(rows, (str, bytes)):
        yield f"{where} is no list: make it one, the key for new work first"
        return
    seen = set()
    for index, row in enumerate(rows):
        inside = f"{where}[{index}]"
        if not isinstance(row, Mapping) or not row.get(secret) or not row.get(identifier):
            yield f"{inside} is incomplete: give {identifier} and {secret}"
            continue
        if row[identifier] in seen:
            yield f"{inside}.{identifier} comes twice: name each key by itself"
        seen.add(row[identifier])
        if secret == "secret" and len(str(row[secret])) < _LEAST_CHARACTERS:
            yield f"{inside}.{secret} is too short: give at least {_LEAST_CHARACTERS} characters"
        if secret == "key" and not _is_aes_key(str(row[secret])):
            yield f"{inside}.{secret} is no key of AES-256: give {_AES_KEY_BYTES} bytes in base64"
        yield from _malformed_times(inside, row)


def _malformed_times(where: str, fields: Mapping[str, Any]) -> Iterable[str]:
    for name in ("created", "expires"):
        try:
            _time(fields.get(name))
        except ValueError as error:
            yield f"{where}.{name} is '{fields[name]}': {error}"


def _is_aes_key(value: str) -> bool:
    try:
        return len(base64.b64decode(value, validate=True)) == _AES_KEY_BYTES
    except (ValueError, binascii.Error):
        return False
