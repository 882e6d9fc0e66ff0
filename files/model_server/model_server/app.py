# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Application factory."""

from __future__ import annotations

from apiflask import APIFlask

from . import __version__
from .api import _docs, _envelope, openai, operations, predict, rerank
from .api._json import StrictJSONProvider
from .credentials import LoadedSettings
from .runtime import Runtime
from .security.authentication import Authenticator

EXTENSION = "model_server"


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
    _envelope.install(app, (_envelope.count(runtime.metrics), _envelope.log))

    authenticator = (
        Authenticator(loaded.credentials.api_keys) if settings.authentication.required else None
    )
    if authenticator is not None:
        app.security_schemes = _docs.SECURITY_SCHEMES
    for surface in (openai, rerank, predict):
        blueprint = surface.build(runtime)
        blueprint.before_request(lambda: _envelope.require_json_client(authenticator))
        app.register_blueprint(blueprint)
    app.register_blueprint(operations.build(runtime))
    return app
