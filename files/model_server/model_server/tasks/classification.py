# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Classification: how probable each of the model's labels is for a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..engines.base import EngineStartFailed, FloatArray, Purpose, TextEncoder, TokenizedText
from ..settings import ModelSettings
from .encoder import EncoderResult, EncoderTask, cost, sigmoid, softmax
from .snapshot import read_json

_CANARY = "The quick brown fox jumps over the lazy dog."
_MULTI_LABEL = "multi_label_classification"
_SENTIMENTS = {
    *("positive", "negative", "neutral", "pos", "neg", "neu"),
    *("正面", "负面", "中性", "正向", "负向", "中立", "积极", "消极", "好评", "差评", "中评"),
    *("正面情感", "负面情感", "正向情感", "负向情感"),
}


@dataclass(frozen=True, kw_only=True)
class ClassificationResult(EncoderResult):
    """Labels with their probabilities, the likeliest first."""

    labels: list[tuple[str, float]]


class ClassificationTask(EncoderTask[str, ClassificationResult]):
    """Classification of a text; one beyond the token limit is cut there.

    The probabilities sum to 1, unless the snapshot states that a text may have several labels
    (`problem_type` of its `config.json`): then each stands for itself.
    """

    name: ClassVar[str] = "classification"
    purpose: ClassVar[Purpose] = Purpose.SEQUENCE

    def __init__(self, engine: TextEncoder, model: ModelSettings, max_tokens: int | None) -> None:
        """Read how the labels exclude each other; refuse a model that has none to choose from."""
        super().__init__(engine, model, max_tokens)
        config = read_json(model.path / "config.json") or {}
        self._multi_label = config.get("problem_type") == _MULTI_LABEL
        if len(self._labels) < 2 and not self._multi_label:
            raise EngineStartFailed(
                f"{model.path} has one output, a score; classification needs labels to choose "
                "from. Serve it for rerank"
            )

    @property
    def predict_tasks(self) -> tuple[str, ...]:
        """Classification, and sentiment when every label is one."""
        sentiments = all(label.lower() in _SENTIMENTS for label in self._labels)
        return ("classification", "sentiment") if sentiments else ("classification",)

    def prepare(self, request: str) -> list[TokenizedText]:
        """Tokenize the text."""
        return self._engine.tokenize([request], self.max_tokens)

    def finish(
        self, request: str, items: Sequence[TokenizedText], rows: Sequence[FloatArray]
    ) -> ClassificationResult:
        """Turn logits into probabilities and order the labels by them."""
        (logits,) = rows
        probabilities = sigmoid(logits) if self._multi_label else softmax(logits)
        best_first = np.argsort(-probabilities, kind="stable")
        return ClassificationResult(
            labels=[(self._labels[index], float(probabilities[index])) for index in best_first],
            **cost(items),
        )

    @property
    def canary(self) -> str:
        """A fixed English sentence; any tokenizer can split it."""
        return _CANARY

    def verify(self, result: ClassificationResult) -> None:
        """Check that the probabilities are some."""
        total = sum(score for _label, score in result.labels)
        if not self._multi_label and abs(total - 1) > 1e-3:
            raise EngineStartFailed(f"canary: the probabilities sum to {total}")

    def describe(self) -> dict[str, Any]:
        """Labels, and token limit of a text."""
        return {**super().describe(), "labels": list(self._labels)}
