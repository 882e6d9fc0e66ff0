# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Engines compute tensors. They know neither HTTP nor tasks.

The registry names each engine's class without importing it, so that a service imports only the
packages of its own engine.
"""

from __future__ import annotations

import importlib

from .base import Engine, EngineUnavailable

REGISTRY: dict[str, str] = {
    "transformers": "model_server.engines.transformers:TransformersEngine",
}


def create(name: str) -> Engine:
    """Create the engine called `name`, not loaded yet.

    Raises EngineUnavailable when a package that it needs is missing.
    """
    module, attribute = REGISTRY[name].split(":")
    try:
        engine: Engine = getattr(importlib.import_module(module), attribute)()
    except ImportError as error:
        raise EngineUnavailable(
            f"engine {name} needs a package that this environment lacks: {error}; "
            "install the lock of a variant that holds it"
        ) from error
    return engine
