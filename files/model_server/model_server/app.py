# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Application factory."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from apiflask import APIFlask

from . import __version__
from .api import _docs, _envelope, openai, operations, predict, session
from .api._json import StrictJSONProvider
from .credentials import LoadedSettings
from .runtime import Runtime
from .security.access import Access
from .security.secret_ages import SecretAges

EXTENSION = "model_server"


def create_app(
    loaded: LoadedSettings,
    runtime: Runtime | None = None,
    clock: Callable[[], float] = time.time,
) -> APIFlask:
    """Build the application without side effects; the runtime is started by the process.

    `clock` gives seconds since the epoch, for limits and for the expiry of keys.
    """
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
    access = Access(settings, loaded.credentials, clock)
    runtime.metrics.watch_limits(lambda: access.usage.fallback)
    runtime.metrics.registry.register(SecretAges(loaded.credentials, clock))
    _envelope.install(app, access, (_envelope.count(runtime.metrics), _envelope.log))

    app.security_schemes = _docs.security_schemes(settings)
    for surface in (openai, predict):
        blueprint = surface.build(runtime)
        blueprint.before_request(partial(_envelope.admit_client, access))
        app.register_blueprint(blueprint)
    if access.login is not None:
        blueprint = session.build(access.login)
        blueprint.before_request(partial(_envelope.admit_stranger, access))
        app.register_blueprint(blueprint)
    app.register_blueprint(operations.build(runtime))
    return app
