# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Pooling: the numbers by hand, and where a snapshot states it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_server.engines.base import EngineStartFailed
from model_server.tasks.pooling import Pooling, read_pooling

STATES = np.array([[[1, 2], [3, 6], [50, 50]], [[3, 4], [-9, -9], [-9, -9]]], dtype=np.float32)
MASK = np.array([[1, 1, 0], [1, 0, 0]], dtype=np.int64)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("mean", [[2, 4], [3, 4]]),
        ("cls", [[1, 2], [3, 4]]),
        ("max", [[3, 6], [3, 4]]),
        ("lasttoken", [[3, 6], [3, 4]]),
        ("mean_sqrt_len_tokens", [[4 / 2**0.5, 8 / 2**0.5], [3, 4]]),
    ],
)
def test_padding_has_no_part_in_a_vector(mode: str, expected: Any) -> None:
    vectors = Pooling((mode,), normalize=False)(STATES, MASK)
    np.testing.assert_allclose(vectors, expected, rtol=1e-6)
    assert vectors.dtype == np.float32


def test_modes_are_joined_and_then_normalised() -> None:
    vectors = Pooling(("cls", "max"), normalize=True)(STATES, MASK)
    assert vectors.shape == (2, 4)
    np.testing.assert_allclose(vectors[1], np.array([3, 4, 3, 4]) / 50**0.5, rtol=1e-6)


def test_a_zero_vector_stays_zero() -> None:
    assert not Pooling(("mean",), normalize=True)(STATES * 0, MASK).any()


def write(folder: Path, **files: Any) -> Path:
    for name, content in files.items():
        file = folder / f"{name.replace('__', '/')}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content))
    return folder


def modules(*kinds: str) -> list[dict[str, str]]:
    return [{"type": f"some.package.{kind}", "path": kind} for kind in kinds]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, Pooling(("mean",), True)),
        (
            {
                "modules": modules("Transformer", "Pooling", "Normalize"),
                "Pooling__config": {"pooling_mode_cls_token": True},
            },
            Pooling(("cls",), True),
        ),
        (
            {
                "modules": modules("Transformer", "Pooling"),
                "Pooling__config": {"pooling_mode": ["cls", "max"]},
            },
            Pooling(("cls", "max"), False),
        ),
        ({"1_Pooling__config": {"pooling_mode": "lasttoken"}}, Pooling(("lasttoken",), True)),
        (
            {"configuration": {"task": "sentence-embedding", "model": {"type": "bert"}}},
            Pooling(("cls",), False),
        ),
        (
            {
                "configuration": {
                    "task": "sentence-embedding",
                    "model": {"emb_pooler_type": "mean", "normalize": True},
                }
            },
            Pooling(("mean",), True),
        ),
        ({"configuration": {"task": "fill-mask"}}, Pooling(("mean",), True)),
    ],
)
def test_a_snapshot_states_its_pooling(tmp_path: Path, files: Any, expected: Pooling) -> None:
    assert read_pooling(write(tmp_path, **files)) == expected


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"modules": modules("Transformer", "Pooling", "Dense")}, "Dense is not supported"),
        ({"1_Pooling__config": {"pooling_mode": "attention"}}, "attention is not supported"),
        (
            {"1_Pooling__config": {"pooling_mode_weightedmean_tokens": True}},
            "weightedmean is not supported",
        ),
    ],
)
def test_what_would_give_other_vectors_is_refused(tmp_path: Path, files: Any, says: str) -> None:
    with pytest.raises(EngineStartFailed, match=says):
        read_pooling(write(tmp_path, **files))


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text("{")
    with pytest.raises(EngineStartFailed, match=r"modules\.json cannot be read"):
        read_pooling(tmp_path)
