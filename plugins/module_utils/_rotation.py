# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""New secrets in the place of old ones, so that nobody is locked out meanwhile.

* signing keys: the new one first, the one before it second, since its tokens are still valid;
* API keys: the new one under the same name, the one before it valid for an overlap;
* conversation keys: the new one first, all others kept, since they read what is stored;
* the audit key: replaced; hashes of before and after cannot be compared.

Passwords are chosen by people and only reported. The report holds names and ages, never a secret.
"""

from __future__ import annotations

import base64
import secrets as random
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ._fields import iso_time

KINDS = ("signing_keys", "api_keys", "conversation_keys", "audit_key")
_API_KEY_BYTES, _SIGNING_KEY_BYTES, _AES_KEY_BYTES = 32, 48, 32


@dataclass(frozen=True)
class Rules:
    """When to rotate what. ``now`` has a zone; what is older than ``after`` is due, or all.

    An API key that is replaced stays valid for ``overlap``.
    """

    now: datetime
    after: timedelta = timedelta(days=90)
    overlap: timedelta = timedelta(days=7)
    everything: bool = False
    kinds: Collection[str] = KINDS


def rotate(
    secrets: Mapping[str, Any], service: Mapping[str, Any], rules: Rules
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the secrets of one complete ``service`` after a rotation, and a row for each of them.

    A row has ``kind``, ``name``, ``age_days`` (None where nobody noted when it was made, which
    counts as old) and ``rotated``. Kinds of keys that the declaration calls for and that are
    missing are made. Raises ``ValueError`` for a time that is none.
    """
    rotation = _Rotation(secrets, rules)
    methods = service["authentication"]["methods"]
    if "jwt" in methods:
        rotation.rows("signing_keys", "kid", "secret", _SIGNING_KEY_BYTES, keep=2)
    if service["conversations"]["keep"]:
        rotation.rows("conversation_keys", "version", "key", _AES_KEY_BYTES, keep=None)
    if "api_key" in methods:
        rotation.api_keys()
    if secrets.get("audit_key"):
        rotation.audit_key()
    if "jwt" in methods:
        rotation.passwords()
    return rotation.secrets, rotation.report


class _Rotation:
    def __init__(self, secrets: Mapping[str, Any], rules: Rules) -> None:
        self.secrets, self.rules = dict(secrets), rules
        self.report: list[dict[str, Any]] = []

    def rows(self, kind: str, identifier: str, secret: str, size: int, keep: int | None) -> None:
        """Put a new key before the others, and keep so many of all."""
        rows = [dict(row) for row in self.secrets.get(kind) or []]
        newest = rows[0] if rows else {}
        if not self._is_due(kind, str(newest.get(identifier, "")), newest.get("created")):
            return
        name = _free_name(self.rules.now, {str(row[identifier]) for row in rows})
        new = {identifier: name, secret: _text(size), "created": self._now()}
        self.secrets[kind] = [new, *rows][:keep]

    def api_keys(self) -> None:
        """Give each name a new key, and let the one before it be valid for a while."""
        keys = dict(self.secrets.get("api_keys") or {})
        for name, key in keys.items():
            fields = dict(key) if isinstance(key, Mapping) else {"key": str(key)}
            if self._is_due("api_keys", str(name), fields.get("created")):
                end = self.rules.now + self.rules.overlap
                if fields.get("expires"):
                    end = min(end, datetime.fromisoformat(iso_time(fields["expires"])))
                previous = {"key": str(fields["key"]), "expires": end.isoformat()}
                new = {"key": _text(_API_KEY_BYTES), "created": self._now()}
                keys[name] = {**fields, **new, "previous": previous}
        if keys:
            self.secrets["api_keys"] = keys

    def audit_key(self) -> None:
        """Replace the key."""
        key = self.secrets["audit_key"]
        created = key.get("created") if isinstance(key, Mapping) else None
        if self._is_due("audit_key", "audit_key", created):
            self.secrets["audit_key"] = {"key": _text(_SIGNING_KEY_BYTES), "created": self._now()}

    def passwords(self) -> None:
        """Report how old they are."""
        for name, user in (self.secrets.get("users") or {}).items():
            created = user.get("created") if isinstance(user, Mapping) else None
            self._note("users", str(name), created, False)

    def _is_due(self, kind: str, name: str, created: Any) -> bool:
        age = self._age(created)
        old = self.rules.everything or age is None or age > self.rules.after
        due = old and kind in self.rules.kinds
        self._note(kind, name, created, due)
        return due

    def _note(self, kind: str, name: str, created: Any, rotated: bool) -> None:
        age = self._age(created)
        days = None if age is None else age.days
        self.report.append({"kind": kind, "name": name, "age_days": days, "rotated": rotated})

    def _age(self, created: Any) -> timedelta | None:
        if not created:
            return None
        return self.rules.now - datetime.fromisoformat(iso_time(created))

    def _now(self) -> str:
        return self.rules.now.isoformat(timespec="seconds")


def _free_name(now: datetime, taken: Iterable[str]) -> str:
    """Return the day as a name, numbered where several are made on one."""
    day, known = now.date().isoformat(), set(taken)
    names = (f"{day}.{number}" if number > 1 else day for number in range(1, len(known) + 2))
    return next(name for name in names if name not in known)


def _text(size: int) -> str:
    """Return so many random bytes in base64, as keys of AES must be written."""
    return base64.b64encode(random.token_bytes(size)).decode("ascii")
