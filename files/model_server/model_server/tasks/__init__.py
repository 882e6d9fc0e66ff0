# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Tasks turn requests into work for the engine, and its numbers into results."""

from __future__ import annotations

from .base import BatchTask, Task
from .chat import ChatTask
from .classification import ClassificationTask
from .embedding import EmbeddingTask
from .question_answering import QuestionAnsweringTask
from .rerank import RerankTask
from .token_classification import TokenClassificationTask

REGISTRY: dict[str, type[Task]] = {
    task.name: task
    for task in (
        EmbeddingTask,
        RerankTask,
        ClassificationTask,
        TokenClassificationTask,
        QuestionAnsweringTask,
        ChatTask,
    )
}

__all__ = ["REGISTRY", "BatchTask", "ChatTask", "Task"]
