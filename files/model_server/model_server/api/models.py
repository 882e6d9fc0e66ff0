# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The surface `/v1/models`, in the shape of OpenAI's API: what is served."""

from __future__ import annotations

from apiflask import APIBlueprint

from ..runtime import Runtime
from ..types import Model, ModelList
from ._docs import client
from ._served import require_model


def build(runtime: Runtime) -> APIBlueprint:
    """Create the blueprint for one runtime."""
    blueprint = APIBlueprint("models", __name__, tag="OpenAI")
    settings = runtime.settings
    service = settings.service

    def model() -> Model:
        return Model(
            id=service.served_name,
            created=runtime.loaded_at,
            owned_by=settings.model.source,
            task=service.task,
            revision=settings.model.revision,
            predict_tasks=list(runtime.task.predict_tasks),
            **runtime.task.describe(),
        )

    @blueprint.get("/v1/models")
    @blueprint.doc(**client(settings, "List the served model", 401, 503))
    @blueprint.output(ModelList)
    def models() -> ModelList:
        return ModelList(data=[model()])

    @blueprint.get("/v1/models/<path:name>")
    @blueprint.doc(**client(settings, "Describe the served model", 401, 404, 503))
    @blueprint.output(Model)
    def one_model(name: str) -> Model:
        require_model(service, name)
        return model()

    return blueprint
