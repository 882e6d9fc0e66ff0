# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""HTTP server for one model: Flask under gunicorn, one batching lane, one engine."""

from __future__ import annotations

__version__ = "0.1.0"
