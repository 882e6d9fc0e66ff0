# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Application factory."""

from __future__ import annotations

import time
from typing import Protocol

from apiflask import APIFlask

from . import __version__
from .api import _docs, _envelope, conversations, openai, operations, predict
from .api._json import StrictJSONProvider
from .credentials import LoadedSettings
from .records import Observer
from .runtime import Runtime
from .security.audit import AuditLog
from .security.authentication import Authenticator
from .security.conversations import ConversationStore

EXTENSION = "model_server"
KEEPERS = "model_server_keepers"


class Keeper(Protocol):
    """What keeps something on disk; the process starts it after the fork and closes it."""

    def start(self) -> None:
        """Open it, or raise."""

    def close(self) -> None:
        """Bring everything to disk."""


def create_app(loaded: LoadedSettings, runtime: Runtime | None = None) -> APIFlask:
    """Build the application without side effects; the runtime is started by the process."""
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
    runtime = runtime or Runtime(settings, credential=loaded.credentials.upstream_token)
    app.extensions[EXTENSION] = runtime
    keepers: list[Keeper] = []
    observers: list[Observer] = [_envelope.count(runtime.metrics), _envelope.log]
    if settings.audit.file is not None:
        audit = AuditLog(
            settings.audit, loaded.credentials.audit_key, time.time, runtime.metrics.audit_failed
        )
        keepers.append(audit)
        observers.append(audit)
    _envelope.install(app, observers)

    authenticator = (
        Authenticator(loaded.credentials.api_keys) if settings.authentication.required else None
    )
    if authenticator is not None:
        app.security_schemes = _docs.SECURITY_SCHEMES
    surfaces = [openai.build(runtime), predict.build(runtime)]
    if settings.conversations.file is not None:
        store = ConversationStore(
            settings.conversations.file,
            loaded.credentials.conversation_keys,
            settings.conversations.retention_days,
            time.time,
        )
        keepers.append(store)
        surfaces.append(conversations.build(settings, store))
    app.extensions[KEEPERS] = tuple(keepers)
    for blueprint in surfaces:
        blueprint.before_request(lambda: _envelope.require_json_client(authenticator))
        app.register_blueprint(blueprint)
    app.register_blueprint(operations.build(runtime))
    return app
