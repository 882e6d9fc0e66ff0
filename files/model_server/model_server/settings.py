# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Settings of one release: one JSON file, validated whole before anything starts.

Secrets never stand in that file. The SHA-256 of each API key comes from `api_keys.json` in the
credentials directory, which systemd fills by `LoadCredential=`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

API_KEYS_FILE = "api_keys.json"

SectionT = TypeVar("SectionT", bound="Section")
Name = Annotated[str, Field(min_length=1, max_length=256)]


class SettingsError(Exception):
    """The settings or credentials cannot be used; the message says where and what to do."""


class Section(BaseModel):
    """Base of every section: read-only, and unknown keys stop the start."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ServiceSettings(Section):
    """What the service is called."""

    name: Name = Field(description="Name of the service, as in its unit.")
    task: Literal["embedding"] = Field(description="What the model is used for.")
    served_name: Name = Field(description="Model name that clients send in `model`.")
    release: Name = Field(description="Identifier of the release that this process serves.")


class ModelSettings(Section):
    """Which snapshot is served."""

    path: Annotated[Path, Field(strict=False)] = Field(description="Folder of the snapshot.")
    source: Name = Field(description="Where the snapshot came from.")
    id: Name = Field(description="Identifier of the model at its source.")
    revision: Name = Field(description="Revision of the snapshot.")


class EngineSettings(Section):
    """How tensors are computed."""

    name: Literal["transformers"] = Field(description="Engine that runs the model.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32", description="Number format of the weights in memory."
    )
    threads: int = Field(default=1, ge=1, le=1024, description="Compute threads of the engine.")
    max_tokens: int | None = Field(
        default=None,
        ge=2,
        le=1_000_000,
        description="Tokens per input, special tokens included; longer inputs are truncated. "
        "Null takes the limit that the snapshot states.",
    )


class BatchingSettings(Section):
    """How inputs of several requests are computed together."""

    max_batch_tokens: int = Field(
        default=8192, ge=2, le=10_000_000, description="Padded tokens computed at once."
    )
    max_queue_tokens: int = Field(
        default=65536, ge=2, le=100_000_000, description="Tokens that may wait; more is refused."
    )


class LimitsSettings(Section):
    """What one request may ask for."""

    body_bytes: int = Field(
        default=2 * 1024 * 1024, ge=1024, le=2**31, description="Size of a request body in bytes."
    )
    inputs_per_request: int = Field(default=256, ge=1, le=100_000, description="Texts per request.")
    request_timeout_seconds: int = Field(
        default=60, ge=1, le=3600, description="Time for one request, waiting included."
    )
    concurrent_requests: int = Field(
        default=56, ge=1, le=1000, description="Requests in work at once; more is refused."
    )


class ApiKey(Section):
    """One client's key, known by its hash only."""

    name: Name = Field(description="Name of the key, as it stands in the log.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the key, in hex.")


class ApiKeys(Section):
    """Content of `api_keys.json`."""

    keys: list[ApiKey] = Field(min_length=1, description="Keys that are accepted.")


class AuthenticationSettings(Section):
    """Who may call the model."""

    methods: list[Literal["api_key", "none"]] = Field(
        default=["api_key"], description="Accepted methods; an empty list or `none` opens the API."
    )

    @model_validator(mode="after")
    def _none_stands_alone(self) -> AuthenticationSettings:
        if "none" in self.methods and len(self.methods) > 1:
            raise ValueError("`none` cannot be combined with another method")
        return self

    @property
    def required(self) -> bool:
        """Whether a client must identify itself."""
        return "api_key" in self.methods


class ObservabilitySettings(Section):
    """What the service tells about itself."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe level that is logged."
    )


class Settings(Section):
    """Everything a release needs to know, without secrets."""

    service: ServiceSettings
    model: ModelSettings
    engine: EngineSettings
    batching: BatchingSettings = BatchingSettings()
    limits: LimitsSettings = LimitsSettings()
    authentication: AuthenticationSettings = AuthenticationSettings()
    observability: ObservabilitySettings = ObservabilitySettings()

    @model_validator(mode="after")
    def _token_budgets_fit(self) -> Settings:
        batch, queue = self.batching.max_batch_tokens, self.batching.max_queue_tokens
        if self.engine.max_tokens is not None and self.engine.max_tokens > batch:
            raise ValueError("engine.max_tokens must not exceed batching.max_batch_tokens")
        if batch > queue:
            raise ValueError("batching.max_batch_tokens must not exceed batching.max_queue_tokens")
        return self


class LoadedSettings(Section):
    """Settings together with the credentials they call for."""

    settings: Settings
    api_keys: tuple[ApiKey, ...] = Field(default=(), repr=False)


def read_settings(file: Path) -> Settings:
    """Read and validate a settings file; raise SettingsError naming each wrong key."""
    return _validated(Settings, file)


def load_settings(file: Path, credentials_directory: Path | None) -> LoadedSettings:
    """Read settings and the credentials they require.

    Raises SettingsError when the file is wrong, or when API keys are required and missing.
    """
    settings = read_settings(file)
    if not settings.authentication.required:
        return LoadedSettings(settings=settings)
    if credentials_directory is None:
        raise SettingsError(
            f"{file}: authentication by API key needs a credentials directory, and "
            "CREDENTIALS_DIRECTORY is not set; start the service by its systemd unit, or set "
            "authentication.methods to []"
        )
    keys = _validated(ApiKeys, credentials_directory / API_KEYS_FILE)
    return LoadedSettings(settings=settings, api_keys=tuple(keys.keys))


def _validated(model: type[SectionT], file: Path) -> SectionT:
    try:
        content: Any = json.loads(file.read_bytes())
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"{file}: is not JSON: {error}") from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        # Values are left out: a secret put under a wrong key must not reach a log.
        problems = [
            f"{'.'.join(map(str, problem['loc'])) or 'file'}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsError(f"{file}: " + "; ".join(problems)) from error


def from_environment() -> LoadedSettings:
    """Load what the unit names: $MODEL_SERVER_SETTINGS and $CREDENTIALS_DIRECTORY."""
    file = os.environ.get("MODEL_SERVER_SETTINGS")
    if not file:
        raise SettingsError("MODEL_SERVER_SETTINGS is not set; it names the settings file")
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    return load_settings(Path(file), Path(credentials) if credentials else None)
