# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The transformers engine: what it refuses, and that threads may tokenize at once."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from model_server.engines import create
from model_server.engines.base import EngineStartFailed, TensorBatch, TextEncoder
from model_server.settings import EngineSettings
from model_server.tasks import EmbeddingTask
from texts import texts

pytestmark = pytest.mark.models

SETTINGS = EngineSettings(name="transformers", threads=2)


def load(snapshot: Path, settings: EngineSettings = SETTINGS) -> TextEncoder:
    engine = create("transformers")
    assert isinstance(engine, TextEncoder)
    engine.load(snapshot, settings)
    return engine


@pytest.fixture(scope="module")
def engine(minilm: Path) -> TextEncoder:
    return load(minilm)


@pytest.fixture
def copy(minilm: Path, tmp_path: Path) -> Path:
    """A snapshot that a test may spoil; files are linked, so replace them, never edit them."""
    folder = tmp_path / "model"
    shutil.copytree(minilm, folder, copy_function=os.symlink)
    return folder


def test_info_tells_what_was_loaded(engine: TextEncoder) -> None:
    info = engine.info
    assert (info.hidden_size, info.max_tokens, info.pad_token_id) == (384, 512, 0)
    assert (info.device, info.dtype) == ("cpu", "float32")


def test_a_limit_beyond_the_models_positions_is_refused(engine: TextEncoder, minilm: Path) -> None:
    with pytest.raises(EngineStartFailed, match="the model takes 512"):
        EmbeddingTask(engine, minilm, 513)


def test_the_snapshot_states_the_limit_when_settings_do_not(
    engine: TextEncoder, minilm: Path
) -> None:
    assert EmbeddingTask(engine, minilm, None).max_tokens == 256


def test_many_threads_tokenize_as_one_does(engine: TextEncoder) -> None:
    alone = [engine.tokenize([text], 256)[0] for text in texts()]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda text: engine.tokenize([text], 256)[0], texts() * 5))
    assert together == alone * 5


def test_half_precision_stays_near(engine: TextEncoder, minilm: Path) -> None:
    batch = TensorBatch.of([list(engine.tokenize(["a short text"], 256)[0].ids)], 0)
    half = load(minilm, SETTINGS.model_copy(update={"dtype": "bfloat16"})).encode(batch)
    assert half.last_hidden_state.dtype == np.float32
    difference = np.abs(half.last_hidden_state - engine.encode(batch).last_hidden_state)
    assert 0 < difference.max() < 0.1


def test_a_folder_without_config_is_refused(copy: Path) -> None:
    (copy / "config.json").unlink()
    with pytest.raises(EngineStartFailed, match=r"no config\.json"):
        load(copy)


def test_a_damaged_config_is_refused(copy: Path) -> None:
    (copy / "config.json").unlink()
    (copy / "config.json").write_text("{")
    with pytest.raises(EngineStartFailed, match="cannot be loaded"):
        load(copy)


def test_weights_as_pickle_only_are_refused(copy: Path) -> None:
    import torch
    from safetensors.torch import load_file

    weights = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    torch.save(weights, copy / "pytorch_model.bin")
    with pytest.raises(EngineStartFailed, match="cannot be loaded"):
        load(copy)


def test_cut_weights_are_refused(copy: Path, minilm: Path) -> None:
    (copy / "model.safetensors").unlink()
    head = (minilm / "model.safetensors").read_bytes()[:1_000_000]
    (copy / "model.safetensors").write_bytes(head)
    with pytest.raises(EngineStartFailed, match="cannot be loaded"):
        load(copy)


def test_missing_weights_are_refused_not_drawn_by_lot(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    del weights["encoder.layer.3.attention.self.query.weight"]
    (copy / "model.safetensors").unlink()
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EngineStartFailed, match=r"layer\.3\.attention\.self\.query\.weight"):
        load(copy)


def test_code_of_the_snapshot_is_never_run(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config |= {
        "model_type": "evil",
        "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.M"},
    }
    (copy / "config.json").unlink()
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(EngineStartFailed, match="cannot be loaded"):
        load(copy)
