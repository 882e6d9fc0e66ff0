# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Secrets of one service: one JSON file that systemd hands over by `LoadCredential=`.

API keys stand there as SHA-256 (they are random and long), passwords as scrypt in Werkzeug's form
(`scrypt:N:r:p$salt$hash`). All lists of keys begin with the one that is used for new work; the
others are still accepted, so that keys can be rotated. A name stands for one client: it counts, it
owns conversations, and it stands in the logs.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from .settings import (
    SCOPES,
    Name,
    Scope,
    Section,
    Settings,
    SettingsError,
    read_section,
    read_settings,
)

CREDENTIALS_FILE = "secrets.json"
AES_KEY_BYTES = 32

_SCRYPT_BYTES = 256 * 1024 * 1024
_SCRYPT_LEAST_N = 1024

Time = Annotated[AwareDatetime, Field(strict=False)]


def _aes_key(value: str) -> str:
    if len(base64.b64decode(value, validate=True)) != AES_KEY_BYTES:
        raise ValueError(f"must be {AES_KEY_BYTES} bytes in base64")
    return value


def _password_hash(value: str) -> str:
    n, r, p = map(int, value.partition("$")[0].split(":")[1:])
    # RFC 7914: N is a power of two, and a hash takes 128 * N * r bytes.
    usable = n >= _SCRYPT_LEAST_N and n & (n - 1) == 0 and min(r, p) >= 1
    if not usable or 128 * n * r > _SCRYPT_BYTES:
        raise ValueError("has parameters that are not usable; make it as `scrypt:32768:8:1`")
    return value


class KeyLimits(Section):
    """Limits of one key in place of the service's; null takes the service's, 0 sets none."""

    requests_per_minute: int | None = Field(default=None, ge=0, le=10_000_000)
    tokens_per_minute: int | None = Field(default=None, ge=0, le=1_000_000_000)
    concurrency: int | None = Field(default=None, ge=0, le=1000)


class ApiKey(Section):
    """One client's key, known by its hash only; two entries of one name are two valid keys."""

    name: Name = Field(description="Name of the key, as it stands in the log.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the key, in hex.")
    created: Time | None = Field(default=None, description="When it was made.")
    expires: Time | None = Field(default=None, description="From when on it is refused.")
    scopes: list[Scope] = Field(default=list(SCOPES), description="Paths that it opens.")
    limits: KeyLimits = KeyLimits()


class User(Section):
    """Somebody who signs in at `/login`."""

    name: Name
    password_hash: Annotated[
        str,
        Field(pattern=r"^scrypt:\d{1,9}:\d{1,4}:\d{1,4}\$[^$]+\$[0-9a-f]+$", repr=False),
        AfterValidator(_password_hash),
    ]
    created: Time | None = None
    scopes: list[Scope] = Field(default=list(SCOPES))
    limits: KeyLimits = KeyLimits()


class SigningKey(Section):
    """A key for tokens (HS256)."""

    kid: Name = Field(description="Identifier, in the token's header.")
    secret: Annotated[str, Field(min_length=32)] = Field(repr=False)
    created: Time | None = None


class EncryptionKey(Section):
    """A key for kept conversations (AES-256-GCM)."""

    version: Name = Field(description="Identifier, beside each ciphertext.")
    key: Annotated[str, AfterValidator(_aes_key)] = Field(repr=False)
    created: Time | None = None


class Credentials(Section):
    """Content of `secrets.json`."""

    api_keys: list[ApiKey] = Field(default=[])
    users: list[User] = Field(default=[])
    signing_keys: list[SigningKey] = Field(default=[], max_length=2)
    conversation_keys: list[EncryptionKey] = Field(default=[])
    audit_key: Annotated[str, Field(min_length=32)] | None = Field(
        default=None, repr=False, description="Key of the hashes of inputs in the audit log."
    )
    upstream_token: str | None = Field(default=None, repr=False)
    redis_password: str | None = Field(default=None, repr=False)

    @model_validator(mode="after")
    def _names_are_clear(self) -> Credentials:
        users = [user.name for user in self.users]
        _unique("users", users)
        _unique("signing_keys", (key.kid for key in self.signing_keys))
        _unique("conversation_keys", (key.version for key in self.conversation_keys))
        # Two entries of one hash could have different names, scopes and limits.
        _unique("api_keys", (key.sha256 for key in self.api_keys), show=False)
        shared = sorted({key.name for key in self.api_keys}.intersection(users))
        if shared:
            raise ValueError(
                f"api_keys and users share {', '.join(shared)}; a name stands for one client"
            )
        return self


def _unique(field: str, values: Iterable[str], *, show: bool = True) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{field} holds {value if show else 'a key'} twice")
        seen.add(value)


class LoadedSettings(Section):
    """Settings together with the credentials they call for."""

    settings: Settings
    credentials: Credentials = Field(default=Credentials(), repr=False)


def load_settings(file: Path, credentials_directory: Path | None) -> LoadedSettings:
    """Read settings and credentials.

    Raises SettingsError when a file is wrong, or lacks a secret that the settings require.
    """
    settings = read_settings(file)
    where = f"{file}: CREDENTIALS_DIRECTORY is not set"
    credentials = Credentials()
    if credentials_directory is not None:
        path = credentials_directory / CREDENTIALS_FILE
        where = str(path)
        if path.exists():
            credentials = read_section(Credentials, path)
    missing = [name for name in _required(settings) if not getattr(credentials, name)]
    if missing:
        raise SettingsError(
            f"{where}: the settings require {', '.join(missing)}; start the service by its systemd "
            "unit, or declare the secrets"
        )
    return LoadedSettings(settings=settings, credentials=credentials)


def _required(settings: Settings) -> list[str]:
    methods = settings.authentication.methods
    wanted = {
        "api_keys": "api_key" in methods,
        "users": "jwt" in methods,
        "signing_keys": "jwt" in methods,
        "conversation_keys": settings.conversations.file is not None,
        "audit_key": settings.audit.file is not None and settings.audit.input == "hash",
    }
    return [name for name, required in wanted.items() if required]


def from_environment() -> LoadedSettings:
    """Load what the unit names: $MODEL_SERVER_SETTINGS and $CREDENTIALS_DIRECTORY."""
    file = os.environ.get("MODEL_SERVER_SETTINGS")
    if not file:
        raise SettingsError("MODEL_SERVER_SETTINGS is not set; it names the settings file")
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    return load_settings(Path(file), Path(credentials) if credentials else None)
