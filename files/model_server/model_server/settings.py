# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Settings of one release: one JSON file, validated whole before anything starts.

Secrets never stand in that file; see `credentials`.
"""

from __future__ import annotations

import ipaddress
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

SectionT = TypeVar("SectionT", bound="Section")
Name = Annotated[str, Field(min_length=1, max_length=256)]
FilePath = Annotated[Path, Field(strict=False)]
Scope = Literal["embeddings", "rerank", "predict", "chat", "models"]
SCOPES: tuple[Scope, ...] = ("embeddings", "rerank", "predict", "chat", "models")


def _network(value: str) -> str:
    ipaddress.ip_network(value)
    return value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from error
    return value


Network = Annotated[str, AfterValidator(_network)]
Pattern = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_pattern)]


class SettingsError(Exception):
    """The settings or credentials cannot be used; the message says where and what to do."""


class Section(BaseModel):
    """Base of every section: read-only, and unknown keys stop the start."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ServiceSettings(Section):
    """What the service is called."""

    name: Name = Field(description="Name of the service, as in its unit.")
    task: Literal[
        "embedding",
        "rerank",
        "classification",
        "token_classification",
        "question_answering",
        "chat",
    ] = Field(description="What the model is used for.")
    served_name: Name = Field(description="Model name that clients send in `model`.")
    release: Name = Field(description="Identifier of the release that this process serves.")


class ModelSettings(Section):
    """Which snapshot is served."""

    path: FilePath = Field(description="Folder of the snapshot.")
    source: Name = Field(description="Where the snapshot came from.")
    id: Name = Field(description="Identifier of the model at its source.")
    revision: Name = Field(description="Revision of the snapshot.")


class EngineSettings(Section):
    """How the model is computed."""

    name: Literal["transformers", "llama_cpp", "upstream"] = Field(
        description="Engine that runs the model."
    )
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32", description="Number format of the weights in memory."
    )
    threads: int = Field(default=1, ge=1, le=1024, description="Compute threads of the engine.")
    max_tokens: int | None = Field(
        default=None,
        ge=2,
        le=1_000_000,
        description="Tokens per input, special tokens included; longer inputs are truncated. "
        "For chat the tokens of prompt and answer. Null takes the limit that the snapshot states.",
    )
    file: str | None = Field(
        default=None, description="GGUF file of the snapshot; null takes the only one."
    )
    parallel: int = Field(
        default=1, ge=1, le=64, description="Answers of a chat that are generated at once."
    )
    upstream_url: Annotated[str, Field(pattern=r"^https?://[^ ]+$")] | None = Field(
        default=None, description="Address up to `/v1` of an OpenAI-compatible server."
    )
    upstream_model: Name | None = Field(
        default=None, description="Name of the model there; null sends the served name."
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
    """What one request may ask for, and how many there may be."""

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
    waiting_generations: int = Field(
        default=16, ge=0, le=1000, description="Chat requests that may wait; more is refused."
    )
    websockets: int = Field(default=8, ge=0, le=500, description="Open WebSockets, at most.")
    websocket_idle_seconds: int = Field(
        default=300, ge=1, le=86_400, description="A WebSocket without a message is closed then."
    )


class ChatSettings(Section):
    """What the operator decides about a chat; no client can override it."""

    system_prompt: Annotated[str, Field(min_length=1, max_length=65_536)] | None = Field(
        default=None,
        description="Instruction before every conversation; clients may then send none.",
    )
    max_tokens: int = Field(
        default=1024, ge=1, le=1_000_000, description="Tokens of an answer, at most."
    )
    default_max_tokens: int = Field(
        default=256, ge=1, le=1_000_000, description="Tokens of an answer unless the client says."
    )
    temperature: float = Field(
        default=0.7, ge=0, le=2, description="Temperature unless the client says."
    )
    max_temperature: float = Field(default=2.0, ge=0, le=2, description="Temperature, at most.")
    top_p: float = Field(default=0.9, gt=0, le=1, description="Nucleus unless the client says.")
    stop: list[Annotated[str, Field(min_length=1, max_length=256)]] = Field(
        default=[], max_length=16, description="Texts that end every answer."
    )
    forbidden: list[Pattern] = Field(
        default=[],
        max_length=256,
        description="Regular expressions; a message of a user that matches one is refused.",
    )

    @model_validator(mode="after")
    def _defaults_fit(self) -> ChatSettings:
        if self.default_max_tokens > self.max_tokens:
            raise ValueError("chat.default_max_tokens must not exceed chat.max_tokens")
        if self.temperature > self.max_temperature:
            raise ValueError("chat.temperature must not exceed chat.max_temperature")
        return self


class AuthenticationSettings(Section):
    """Who may call the model."""

    methods: list[Literal["api_key", "jwt", "none"]] = Field(
        default=["api_key"],
        description="Accepted methods; `none` opens the API to loopback addresses only.",
    )
    issuer: Name | None = Field(
        default=None, description="`iss` of the tokens; null takes the service's name."
    )
    audience: Name | None = Field(
        default=None, description="`aud` of the tokens; null takes the served name."
    )
    token_seconds: int = Field(
        default=3600, ge=1, le=86_400, description="How long a token of `/login` is valid."
    )
    lockout_failures: int = Field(
        default=5, ge=1, le=1000, description="Failed logins until a user is locked out."
    )
    lockout_seconds: int = Field(
        default=900, ge=1, le=86_400, description="How long failures count and a lockout lasts."
    )

    @model_validator(mode="after")
    def _none_stands_alone(self) -> AuthenticationSettings:
        if not self.methods:
            raise ValueError("name a method; `none` opens the API to loopback addresses")
        if "none" in self.methods and len(self.methods) > 1:
            raise ValueError("`none` cannot be combined with another method")
        return self

    @property
    def required(self) -> bool:
        """Whether a client must identify itself."""
        return "none" not in self.methods


class AccessSettings(Section):
    """From where the model may be called."""

    allow_from: list[Network] = Field(
        default=[], description="Networks in CIDR form; an empty list admits every address."
    )
    operators_from: list[Network] = Field(
        default=["127.0.0.0/8", "::1/128"],
        description="Networks that see metrics, documents and the playground.",
    )
    trusted_proxies: int = Field(
        default=1,
        ge=0,
        le=8,
        description="Proxies before this process that set X-Forwarded-For; none is trusted beyond.",
    )


class RatesSettings(Section):
    """What one client may use; a key may have limits of its own instead. 0 sets no limit."""

    requests_per_minute: int = Field(
        default=600, ge=0, le=10_000_000, description="Requests of one key or user."
    )
    tokens_per_minute: int = Field(
        default=0, ge=0, le=1_000_000_000, description="Tokens of one key or user, both ways."
    )
    concurrency: int = Field(
        default=0, ge=0, le=1000, description="Requests of one key or user at once."
    )
    address_requests_per_minute: int = Field(
        default=6000, ge=0, le=10_000_000, description="Requests of one address."
    )
    storage: Annotated[str, Field(pattern=r"^(memory|rediss?|redis\+unix)://[^ ]*$")] = Field(
        default="memory://",
        description="Where usage is counted: `memory://`, or a Redis that several hosts share.",
    )


class AuditSettings(Section):
    """The record of who did what."""

    file: FilePath | None = Field(default=None, description="The log; null keeps none.")
    input: Literal["none", "hash", "masked"] = Field(
        default="hash",
        description="What it keeps of an input beside its length: nothing, a keyed hash, or the "
        "text with phone numbers, identity cards, e-mail addresses and keys masked.",
    )


class ConversationsSettings(Section):
    """Whether conversations are kept."""

    file: FilePath | None = Field(default=None, description="The database; null keeps nothing.")
    retention_days: int = Field(
        default=30,
        ge=1,
        le=3650,
        description="A conversation is deleted that many days after its last message.",
    )


class ObservabilitySettings(Section):
    """What the service tells about itself."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe level that is logged."
    )
    canary_seconds: int = Field(
        default=30,
        ge=1,
        le=3600,
        description="How often a fixed request is computed; readiness and systemd's watchdog "
        "depend on it.",
    )
    watchdog_seconds: int = Field(
        default=180,
        ge=2,
        le=7200,
        description="Without a finished canary for that long, systemd restarts the process.",
    )


class Settings(Section):
    """Everything a release needs to know, without secrets."""

    service: ServiceSettings
    model: ModelSettings
    engine: EngineSettings
    batching: BatchingSettings = BatchingSettings()
    limits: LimitsSettings = LimitsSettings()
    chat: ChatSettings = ChatSettings()
    authentication: AuthenticationSettings = AuthenticationSettings()
    access: AccessSettings = AccessSettings()
    rates: RatesSettings = RatesSettings()
    audit: AuditSettings = AuditSettings()
    conversations: ConversationsSettings = ConversationsSettings()
    observability: ObservabilitySettings = ObservabilitySettings()

    @model_validator(mode="after")
    def _sections_agree(self) -> Settings:
        batch, queue = self.batching.max_batch_tokens, self.batching.max_queue_tokens
        batched = self.service.task != "chat"
        if batched and self.engine.max_tokens is not None and self.engine.max_tokens > batch:
            raise ValueError("engine.max_tokens must not exceed batching.max_batch_tokens")
        if batch > queue:
            raise ValueError("batching.max_batch_tokens must not exceed batching.max_queue_tokens")
        if batched and self.engine.name != "transformers":
            raise ValueError(f"engine.name {self.engine.name} can do nothing but chat")
        if self.engine.name == "upstream" and self.engine.upstream_url is None:
            raise ValueError("engine.name upstream needs engine.upstream_url")
        # The canary of a chat may have to wait for a place that a request holds for its whole time.
        waiting = 0 if batched else self.limits.request_timeout_seconds
        if self.observability.watchdog_seconds <= self.observability.canary_seconds + waiting:
            raise ValueError(
                "observability.watchdog_seconds must exceed observability.canary_seconds"
                + ("" if batched else " and limits.request_timeout_seconds together")
            )
        return self

    @property
    def engine_section(self) -> EngineSettings:
        """The engine's settings, with the name of an upstream's model filled in."""
        if self.engine.upstream_model is not None:
            return self.engine
        return self.engine.model_copy(update={"upstream_model": self.service.served_name})


def read_settings(file: Path) -> Settings:
    """Read and validate a settings file; raise SettingsError naming each wrong key."""
    return read_section(Settings, file)


def read_section(model: type[SectionT], file: Path) -> SectionT:
    """Read and validate a JSON file; raise SettingsError naming each wrong key, never a value."""
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
