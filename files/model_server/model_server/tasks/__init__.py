# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Tasks turn requests into work for the engine, and its numbers into results."""

from __future__ import annotations

from .base import BatchTask, Task
from .chat import ChatTask
from .embedding import EmbeddingTask

REGISTRY: dict[str, type[EmbeddingTask | ChatTask]] = {
    "embedding": EmbeddingTask,
    "chat": ChatTask,
}

__all__ = ["REGISTRY", "BatchTask", "ChatTask", "EmbeddingTask", "Task"]
