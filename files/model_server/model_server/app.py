# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Application factory."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from apiflask import APIFlask

from . import __version__
from .api import (
    _docs,
    _envelope,
    chat,
    conversation,
    conversations,
    embeddings,
    models,
    operations,
    pages,
    predict,
    rerank,
    session,
    websocket,
)
from .api._json import StrictJSONProvider
from .credentials import LoadedSettings
from .records import Observer
from .runtime import Runtime
from .security.access import Access
from .security.audit import AuditLog
from .security.conversations import ConversationStore
from .security.secret_ages import SecretAges

EXTENSION = "model_server"
KEEPERS = "model_server_keepers"


class Keeper(Protocol):
    """What keeps something on disk; the process starts it after the fork and closes it."""

    def start(self) -> None:
        """Open it, or raise."""

    def close(self) -> None:
        """Bring everything to disk."""


def create_app(
    loaded: LoadedSettings,
    runtime: Runtime | None = None,
    clock: Callable[[], float] = time.time,
) -> APIFlask:
    """Build the application without side effects; the runtime is started by the process.

    `clock` gives seconds since the epoch, for limits, expiry and what is kept.
    """
    settings, credentials = loaded.settings, loaded.credentials
    runtime = runtime or Runtime(settings, credential=credentials.upstream_token)
    metrics = runtime.metrics
    access = Access(settings, credentials, clock)
    metrics.watch_limits(lambda: access.usage.fallback)
    metrics.registry.register(SecretAges(credentials, clock))

    keepers: list[Keeper] = []
    observers: list[Observer] = [_envelope.count(metrics), _envelope.log]
    if settings.audit.file is not None:
        audit = AuditLog(settings.audit, credentials.audit_key, clock, metrics.audit_failed)
        keepers.append(audit)
        observers.append(audit)
    store = None
    if settings.conversations.file is not None:
        store = ConversationStore(
            settings.conversations.file,
            credentials.conversation_keys,
            settings.conversations.retention_days,
            clock,
        )
        keepers.append(store)

    app = _bare_app(loaded)
    app.spec_processor(partial(_docs.complete, runtime=runtime))
    app.extensions |= {EXTENSION: runtime, KEEPERS: tuple(keepers)}
    _envelope.install(app, access, observers)
    surfaces = [models.build(runtime), predict.build(runtime)]
    if settings.service.task == "embedding":
        surfaces.append(embeddings.build(runtime))
    if settings.service.task == "rerank":
        surfaces.append(rerank.build(runtime))
    if settings.service.task == "chat":
        surfaces += [chat.build(runtime), conversation.build(runtime, store)]
        app.register_blueprint(websocket.build(runtime, access, store))
    if store is not None:
        surfaces.append(conversations.build(settings, store))
    for blueprint in surfaces:
        blueprint.before_request(partial(_envelope.admit_client, access))
        app.register_blueprint(blueprint)
    if access.login is not None:
        blueprint = session.build(access.login)
        blueprint.before_request(partial(_envelope.admit_stranger, access))
        app.register_blueprint(blueprint)
    for room in (operations, pages):
        app.register_blueprint(room.build(runtime))
    return app


def _bare_app(loaded: LoadedSettings) -> APIFlask:
    settings = loaded.settings
    app = APIFlask(
        "model_server",
        title=f"{settings.service.name}: {settings.service.served_name}",
        version=__version__,
        docs_path=None,
        static_folder=None,  # type: ignore[arg-type]  # Flask takes None: no static files.
    )
    app.json = StrictJSONProvider(app)
    app.config.update(
        MAX_CONTENT_LENGTH=settings.limits.body_bytes,
        PROVIDE_AUTOMATIC_OPTIONS=False,
        AUTO_SERVERS=False,
        AUTO_404_RESPONSE=False,
        HTTP_ERROR_SCHEMA=_docs.error_schema(),
        VALIDATION_ERROR_SCHEMA=_docs.error_schema(),
        VALIDATION_ERROR_STATUS_CODE=422,
    )
    app.security_schemes = _docs.security_schemes(settings)
    return app
