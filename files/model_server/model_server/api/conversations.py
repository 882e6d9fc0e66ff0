# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The surface for kept conversations: a client sees and deletes its own."""

from __future__ import annotations

from dataclasses import asdict

from apiflask import APIBlueprint
from flask import g

from ..security.conversations import ConversationStore
from ..settings import Settings
from ..types import ConversationList, ConversationsDeleted, ConversationSummary
from ._docs import client


def owner() -> str:
    """Whose conversations the caller may use; without authentication all callers are one."""
    return g.record.client or ""


def build(settings: Settings, store: ConversationStore) -> APIBlueprint:
    """Create the blueprint for one store."""
    blueprint = APIBlueprint("conversations", __name__, tag="Conversations")

    @blueprint.get("/conversations")
    @blueprint.doc(**client(settings, "List your kept conversations", 401, 403))
    @blueprint.output(ConversationList)
    def conversations() -> ConversationList:
        kept = store.summaries(owner())
        return ConversationList(conversations=[ConversationSummary(**asdict(one)) for one in kept])

    @blueprint.delete("/conversations")
    @blueprint.doc(**client(settings, "Delete all your kept conversations", 401, 403))
    @blueprint.output(ConversationsDeleted)
    def delete_all() -> ConversationsDeleted:
        return ConversationsDeleted(deleted=store.delete(owner()))

    @blueprint.delete("/conversations/<identifier>")
    @blueprint.doc(**client(settings, "Delete one kept conversation", 401, 403, 404))
    @blueprint.output(ConversationsDeleted)
    def delete_one(identifier: str) -> ConversationsDeleted:
        return ConversationsDeleted(deleted=store.delete(owner(), identifier))

    return blueprint
