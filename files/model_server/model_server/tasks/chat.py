# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Chat: what a client asks for, within what the operator allows."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..engines.base import (
    EngineStartFailed,
    GenerationChunk,
    GenerationRequest,
    Message,
    Purpose,
    TextGenerator,
)
from ..errors import ForbiddenInstruction
from ..settings import ChatSettings, Settings
from .base import Task

_CANARY_TOKENS = 4


@dataclass(frozen=True)
class ChatOptions:
    """What a client may choose; None leaves it to the operator."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: Sequence[str] = ()
    seed: int | None = None


class ChatTask(Task):
    """A conversation with a generator."""

    name: ClassVar[str] = "chat"
    purpose: ClassVar[Purpose] = Purpose.GENERATION

    def __init__(self, engine: TextGenerator, policy: ChatSettings) -> None:
        self._engine = engine
        self._policy = policy
        self._forbidden = [re.compile(pattern) for pattern in policy.forbidden]

    @classmethod
    def create(cls, engine: Any, settings: Settings) -> ChatTask:
        """Make the task for a loaded engine."""
        if not isinstance(engine, TextGenerator):
            raise EngineStartFailed(f"engine {settings.engine.name} cannot generate text")
        return cls(engine, settings.chat)

    @property
    def parallel(self) -> int:
        """How many answers may be generated at once."""
        return self._engine.parallel

    def prepare(self, messages: Sequence[Message], options: ChatOptions) -> GenerationRequest:
        """Apply the operator's rules; raise ForbiddenInstruction for what they do not allow.

        The system prompt goes first, `max_tokens` and temperature are capped, the operator's stop
        texts are added to the client's.
        """
        policy = self._policy
        if policy.system_prompt is not None:
            if any(message.role == "system" for message in messages):
                raise ForbiddenInstruction(
                    "The operator sets the system prompt of this service; send messages of the "
                    "roles user and assistant only.",
                    param="messages",
                )
            messages = [Message("system", policy.system_prompt), *messages]
        for message in messages[1:] if policy.system_prompt is not None else messages:
            if any(pattern.search(message.content) for pattern in self._forbidden):
                raise ForbiddenInstruction(
                    "A message holds what the operator of this service does not allow.",
                    param="messages",
                )
        wanted = options.max_tokens
        temperature = options.temperature
        return GenerationRequest(
            messages=tuple(messages),
            max_tokens=min(wanted or policy.default_max_tokens, policy.max_tokens),
            temperature=min(
                policy.temperature if temperature is None else temperature, policy.max_temperature
            ),
            top_p=policy.top_p if options.top_p is None else options.top_p,
            stop=(*policy.stop, *options.stop),
            seed=options.seed,
        )

    def generate(
        self, request: GenerationRequest, cancelled: Callable[[], bool]
    ) -> Generator[GenerationChunk]:
        """Yield the answer as the engine makes it."""
        return self._engine.generate(request, cancelled)

    @property
    def canary(self) -> GenerationRequest:
        """A greeting, answered with a few tokens."""
        return GenerationRequest((Message("user", "Hi"),), _CANARY_TOKENS, 0.0, 1.0)

    def verify(self, chunks: Sequence[GenerationChunk]) -> None:
        """Raise EngineStartFailed unless the answer came to its end."""
        if not chunks or chunks[-1].finish_reason is None:
            raise EngineStartFailed("canary: the answer did not end")

    def describe(self) -> dict[str, Any]:
        """Tokens of prompt and answer together."""
        return {"max_tokens": self._engine.info.max_tokens}
