# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The surface for operators and probes: no authentication, the edge decides who sees it."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from .. import metrics
from ..runtime import Runtime
from ..types import Health, Readiness
from ._docs import failures


def build(runtime: Runtime) -> APIBlueprint:
    """Create the blueprint for one runtime."""
    blueprint = APIBlueprint("operations", __name__, tag="Operations")
    service = runtime.settings.service

    def readiness() -> Readiness:
        runtime.require_ready()
        return Readiness(model=service.served_name, release=service.release)

    @blueprint.get("/health")
    @blueprint.doc(summary="The process answers")
    @blueprint.output(Health)
    def health() -> Health:
        return Health()

    @blueprint.get("/ready")
    @blueprint.doc(summary="The model is loaded and the canary passed", responses=failures(503))
    @blueprint.output(Readiness)
    def ready() -> Readiness:
        return readiness()

    @blueprint.get("/healthz")
    @blueprint.doc(
        summary="The same as `/ready`: what the last canary proved", responses=failures(503)
    )
    @blueprint.output(Readiness)
    def healthz() -> Readiness:
        return readiness()

    @blueprint.get("/metrics")
    @blueprint.doc(hide=True)
    def prometheus() -> Response:
        return Response(runtime.metrics.render(), content_type=metrics.CONTENT_TYPE)

    return blueprint
