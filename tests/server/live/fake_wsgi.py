# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Entry point like `model_server.wsgi`, on the fake engine. Not part of the product."""

from __future__ import annotations

import os

from fakes import FakeEngine
from model_server import logs
from model_server.app import create_app
from model_server.credentials import from_environment
from model_server.engines.base import EngineStartFailed
from model_server.runtime import Runtime

_failure = os.environ.get("FAKE_LOAD_ERROR")
_engine = FakeEngine(load_error=EngineStartFailed(_failure) if _failure else None)
_loaded = from_environment()
logs.configure(_loaded.settings.observability.log_level)
app = create_app(_loaded, Runtime(_loaded.settings, create_engine=lambda name, purpose: _engine))
