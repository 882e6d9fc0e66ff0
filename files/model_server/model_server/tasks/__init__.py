# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Tasks turn requests into items for the engine, and rows back into results."""

from __future__ import annotations

from .base import Task
from .embedding import EmbeddingTask

REGISTRY: dict[str, type[EmbeddingTask]] = {"embedding": EmbeddingTask}

__all__ = ["REGISTRY", "EmbeddingTask", "Task"]
