# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Engines compute. They know neither HTTP nor tasks.

The registry names each engine's class without importing it, so that a service imports only the
packages of its own engine.
"""

from __future__ import annotations

import importlib

from .base import Engine, EngineUnavailable, Purpose

ENCODERS: dict[str, str] = {
    "transformers": "model_server.engines.transformers:TransformersEncoder",
}
GENERATORS: dict[str, str] = {
    "transformers": "model_server.engines.transformers_generator:TransformersGenerator",
    "llama_cpp": "model_server.engines.llama_cpp:LlamaCppGenerator",
    "upstream": "model_server.engines.upstream:UpstreamGenerator",
}


def create(name: str, purpose: Purpose) -> Engine:
    """Create the engine called `name`, not loaded yet.

    Raises EngineUnavailable when it cannot serve the purpose, or when a package is missing.
    """
    registry = GENERATORS if purpose is Purpose.GENERATION else ENCODERS
    if name not in registry:
        raise EngineUnavailable(f"engine {name} cannot do it; choose from {', '.join(registry)}")
    module, attribute = registry[name].split(":")
    try:
        engine: Engine = getattr(importlib.import_module(module), attribute)()
    except ImportError as error:
        raise EngineUnavailable(
            f"engine {name} needs a package that this environment lacks: {error}; "
            "install the lock of a variant that holds it"
        ) from error
    return engine
