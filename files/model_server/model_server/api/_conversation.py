# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What the short chat surfaces share: a message, what was said before, and where it is kept."""

from __future__ import annotations

from collections.abc import Iterator

from ..engines.base import Message
from ..errors import InvalidRequest
from ..security.conversations import ConversationStore, KeptMessage
from ..tasks.chat import ChatOptions
from ..types import ChatEvent, ChatRequest
from ._answer import Answer


class Exchange:
    """One message of a user and its answer, in the conversation to which it belongs."""

    def __init__(
        self, body: ChatRequest, owner: str | None, store: ConversationStore | None
    ) -> None:
        """Look up what was said before; raise a ServiceError for what cannot be continued."""
        self._owner = owner or ""
        self._store = store
        self._conversation_id = body.conversation_id
        self._new = [
            *(Message(turn.role, turn.content) for turn in body.history),
            Message("user", body.message),
        ]
        self.options = ChatOptions(max_tokens=body.max_tokens, temperature=body.temperature)
        before: list[Message] = []
        if body.conversation_id is not None:
            if store is None:
                raise InvalidRequest(
                    "This service keeps no conversations; send what was said before as `history`.",
                    param="conversation_id",
                )
            if body.history:
                raise InvalidRequest(
                    "A kept conversation has its history already; leave it out.", param="history"
                )
            kept = store.history(self._owner, body.conversation_id)
            before = [Message(message.role, message.content) for message in kept]
        self.messages = [*before, *self._new]

    def keep(self, answer: Answer) -> str | None:
        """Keep a whole answer where conversations are kept; return the identifier."""
        if self._store is None:
            return None
        new = [
            *(KeptMessage(message.role, message.content) for message in self._new),
            KeptMessage("assistant", answer.text),
        ]
        return self._store.append(self._owner, self._conversation_id, new)

    def events(self, answer: Answer) -> Iterator[ChatEvent]:
        """The answer as events; the last one comes when it is kept."""
        for text in answer:
            yield ChatEvent(type="delta", text=text)
        yield ChatEvent(
            type="end",
            finish_reason=answer.finish_reason,
            usage=answer.usage,
            conversation_id=self.keep(answer),
        )
