# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A snapshot in the form of ModelScope's GTE gives the vectors of ModelScope's own pipeline.

The goldens come from `modelscope_goldens.py`, in an environment of its own; the same snapshot is
built here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelscope_goldens
from model_server.engines import create
from model_server.engines.base import Purpose
from model_server.settings import EngineSettings, ModelSettings
from model_server.tasks.embedding import EmbeddingTask

pytestmark = pytest.mark.models

TOLERANCE = 1e-5
GOLDENS = json.loads(modelscope_goldens.GOLDENS.read_text(encoding="utf-8"))
TEXTS = GOLDENS["texts"]


def serve(folder: Path, *, normalize: bool) -> EmbeddingTask:
    assert modelscope_goldens.build(folder, normalize=normalize) == GOLDENS["weights_sha256"]
    engine: Any = create("transformers", Purpose.STATES)
    engine.load(folder, EngineSettings(name="transformers"), Purpose.STATES)
    model = ModelSettings(path=folder, source="modelscope", id="iic/gte", revision="master")
    return EmbeddingTask(engine, model, GOLDENS["sequence_length"])


def embed(task: EmbeddingTask, texts: list[str]) -> np.ndarray[Any, Any]:
    items = task.prepare(texts)
    return np.stack(task.finish(texts, items, task.compute(items)).vectors)


@pytest.mark.parametrize(("normalize", "key"), [(True, "normalized"), (False, "raw")])
def test_vectors_are_those_of_modelscope(tmp_path: Path, normalize: bool, key: str) -> None:
    task = serve(tmp_path, normalize=normalize)
    expected = np.array(GOLDENS[key])
    np.testing.assert_allclose(embed(task, TEXTS), expected, atol=TOLERANCE, rtol=0)
    alone = np.concatenate([embed(task, [text]) for text in TEXTS])
    np.testing.assert_allclose(alone, expected, atol=TOLERANCE, rtol=0)
    norms = np.linalg.norm(expected, axis=1)
    assert np.allclose(norms, 1, atol=TOLERANCE) is normalize


def test_the_goldens_tell_different_texts_apart_and_were_made_by_modelscope() -> None:
    vectors = np.array(GOLDENS["normalized"])
    assert (vectors @ vectors.T - np.eye(len(TEXTS))).max() < 0.999
    assert GOLDENS["versions"]["modelscope"] == "1.40.2"
    assert max(map(len, TEXTS)) > GOLDENS["sequence_length"]


def test_another_pooling_would_be_noticed(tmp_path: Path) -> None:
    task = serve(tmp_path, normalize=True)
    configuration = json.loads((tmp_path / "configuration.json").read_text())
    configuration["model"]["emb_pooler_type"] = "avg"
    (tmp_path / "configuration.json").write_text(json.dumps(configuration))
    model = ModelSettings(path=tmp_path, source="modelscope", id="iic/gte", revision="master")
    mean = EmbeddingTask(task._engine, model, task.max_tokens)
    assert np.abs(embed(mean, TEXTS) - np.array(GOLDENS["normalized"])).max() > 0.01
    assert mean.fingerprint != task.fingerprint
