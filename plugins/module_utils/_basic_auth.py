# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The passwords that Nginx asks for: checked, and rendered as its password file.

A salt is made once and kept for as long as the password stays, so that a second run renders the
same file. No message holds a password.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ._sha512_crypt import ALPHABET, sha512_crypt

LEAST_CHARACTERS = 12
_LINE = re.compile(r"([^:#]+):\$6\$([^$]+)\$.+")


def password_problems(service: Mapping[str, Any], own: Mapping[str, Any]) -> Iterable[str]:
    """Yield what the secrets of ``service`` lack, or have wrong, for its ``basic_auth``."""
    where = f"model_service_secrets.{service['name']}.basic_passwords"
    passwords = own.get("basic_passwords") or {}
    if not isinstance(passwords, Mapping):
        yield f"{where} is no mapping: make it one from names to the password of each"
        return
    for name in service["basic_auth"]:
        if not passwords.get(name):
            yield f"{where}.{name} is None: give the password, since basic_auth names {name}"
    for name, password in passwords.items():
        if name not in service["basic_auth"]:
            yield (
                f"{where}.{name} is a password for nobody: "
                f"model_services.{service['name']}.basic_auth has no '{name}'"
            )
        elif password and len(str(password)) < LEAST_CHARACTERS:
            yield f"{where}.{name} is too short: give at least {LEAST_CHARACTERS} characters"
        elif password and not str(password).isprintable():
            yield f"{where}.{name} has a character that no client can send: leave it out"


def _new_salt() -> str:
    return "".join(secrets.choice(ALPHABET) for _index in range(16))


def password_file(
    service: Mapping[str, Any],
    own: Mapping[str, Any],
    current: str = "",
    make_salt: Callable[[], str] = _new_salt,
) -> str:
    """Return the password file of ``service``; ``current`` is the one that the host has.

    Raises ``ValueError`` for what ``password_problems`` names.
    """
    problems = list(password_problems(service, own))
    if problems:
        raise ValueError("\n".join(problems))
    known = {match[1]: match for match in map(_LINE.fullmatch, current.splitlines()) if match}
    lines = []
    for name in sorted(service["basic_auth"]):
        password = str(own["basic_passwords"][name]).encode()
        before = known.get(name)
        line = f"{name}:{sha512_crypt(password, before[2])}" if before else ""
        if not before or not hmac.compare_digest(line, before[0]):
            line = f"{name}:{sha512_crypt(password, make_salt())}"
        lines.append(line + "\n")
    return "".join(lines)
