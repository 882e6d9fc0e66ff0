# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What a task is: one use of a loaded model.

Of a `BatchTask`, `prepare` and `finish` run in the request's thread, `compute` in the batcher's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

from ..batching import Sized
from ..engines.base import Engine, Purpose
from ..settings import Settings

RequestT = TypeVar("RequestT")
ItemT = TypeVar("ItemT", bound=Sized)
RowT = TypeVar("RowT")
ResultT = TypeVar("ResultT")


class Task(ABC):
    """What every task tells about itself."""

    name: ClassVar[str]
    purpose: ClassVar[Purpose]

    @classmethod
    @abstractmethod
    def create(cls, engine: Engine, settings: Settings) -> Task:
        """Make the task for a loaded engine; raise EngineStartFailed when it cannot do it."""

    @property
    def predict_tasks(self) -> tuple[str, ...]:
        """What `POST /predict` takes as `task_type`."""
        return ()

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Public facts of the model for this task; fields of `types.Model`."""


class BatchTask(Task, Generic[RequestT, ItemT, RowT, ResultT]):
    """A task whose inputs are computed together with those of other requests."""

    @abstractmethod
    def prepare(self, request: RequestT) -> list[ItemT]:
        """Turn a request into items to compute; raise InvalidRequest for what cannot be."""

    @abstractmethod
    def compute(self, items: Sequence[ItemT]) -> list[RowT]:
        """Run the engine on items of any requests; row i answers item i."""

    @abstractmethod
    def finish(self, request: RequestT, items: Sequence[ItemT], rows: Sequence[RowT]) -> ResultT:
        """Join the rows of one request into its result."""

    @abstractmethod
    def warm_up(self, max_batch_tokens: int) -> None:
        """Compute the smallest and the largest planned batch, so that no request pays for it."""

    @property
    @abstractmethod
    def canary(self) -> RequestT:
        """A fixed request that must succeed before the service is ready."""

    @abstractmethod
    def verify(self, result: ResultT) -> None:
        """Raise EngineStartFailed when the canary's result cannot be right."""
