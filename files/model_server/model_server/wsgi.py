# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Entry point of gunicorn: `model_server.wsgi:app`."""

from __future__ import annotations

from . import logs
from .app import create_app
from .credentials import from_environment

_loaded = from_environment()
logs.configure(_loaded.settings.observability.log_level)
app = create_app(_loaded)
