# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The surface `/predict`: a task by its name, and one text."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response, jsonify

from ..errors import TaskNotOffered
from ..runtime import Runtime
from ..types import PredictRequest, PredictResponse
from ._docs import client
from ._envelope import note, remember


def build(runtime: Runtime) -> APIBlueprint:
    """Create the blueprint for one runtime."""
    blueprint = APIBlueprint("predict", __name__, tag="Predict")
    offered = [runtime.settings.service.task]

    @blueprint.post("/predict")
    @blueprint.doc(
        **client(runtime.settings, "Run a task on one text", 400, 401, 404, 413, 415, 500, 503, 504)
    )
    @blueprint.input(PredictRequest, arg_name="body")
    @blueprint.output(PredictResponse)
    def predict(body: PredictRequest) -> Response:
        if body.task_type not in offered:
            raise TaskNotOffered(
                f"This model offers {', '.join(offered)}, not {body.task_type!r}.",
                param="task_type",
                details={"offered": offered},
            )
        remember([body.input_text])
        result, timing = runtime.run([body.input_text], 1)
        response = jsonify(
            {
                "result": {
                    "embedding": result.vectors[0].tolist(),
                    "tokens": result.tokens,
                    "truncated": bool(result.truncated),
                }
            }
        )
        response.headers.update(
            note(timing, inputs=1, tokens=result.tokens, truncated=result.truncated)
        )
        return response

    return blueprint
