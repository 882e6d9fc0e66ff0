# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The surface for people: a playground, and the reference in English and Chinese.

Neither holds a secret; like the rest of the operators' surface they ask for no key.
"""

from __future__ import annotations

from typing import cast

from apiflask import APIBlueprint, APIFlask
from flask import Response, current_app, jsonify, render_template, request

from .. import pages
from ..errors import TABLE
from ..pages.language import DEFAULT, LANGUAGES, mark_code, of_playground, read
from ..pages.reference import Reference
from ..runtime import Runtime

HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self' data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def build(runtime: Runtime) -> APIBlueprint:
    """Create the blueprint for one runtime."""
    settings = runtime.settings
    blueprint = APIBlueprint(
        "pages",
        pages.__name__,
        template_folder="templates",
        static_folder="static",
        static_url_path="/playground",
    )
    blueprint.add_app_template_filter(mark_code, "mark_code")

    @blueprint.after_request
    def protect(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    @blueprint.get("/playground")
    @blueprint.doc(hide=True)
    def playground() -> str:
        return render_template(
            "playground.html", settings=settings, methods=settings.authentication.methods
        )

    @blueprint.get("/playground/texts.json")
    @blueprint.doc(hide=True)
    def texts() -> Response:
        return jsonify(of_playground())

    @blueprint.get("/docs")
    @blueprint.doc(hide=True)
    def docs() -> str:
        asked = request.args.get("lang", DEFAULT)
        language = asked if asked in LANGUAGES else DEFAULT
        app = cast(APIFlask, current_app)
        reference = Reference(
            cast(dict[str, object], app.spec),
            app.url_map.iter_rules(),
            language,
            url=_origin(),
            task=settings.service.task,
            model=settings.service.served_name,
        )
        return render_template(
            "reference.html",
            reference=reference,
            texts=read(language),
            settings=settings,
            version=app.version,
            errors=TABLE,
        )

    return blueprint


def _origin() -> str:
    """Where the reader sees this service; TLS ends at the proxy."""
    secure = request.headers.get("X-Forwarded-Proto") == "https"
    return f"{'https' if secure else request.scheme}://{request.host}"
