# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The transformers engine: what it refuses, and that threads may tokenize at once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from model_server.engines import create
from model_server.engines.base import (
    EngineStartFailed,
    Purpose,
    TensorBatch,
    TextEncoder,
    TextTooLong,
)
from model_server.settings import EngineSettings, ModelSettings
from model_server.tasks.embedding import EmbeddingTask
from texts import texts
from tiny_data import ENTITY_LABELS, TOPICS

pytestmark = pytest.mark.models

SETTINGS = EngineSettings(name="transformers", threads=2)


def load(
    snapshot: Path, settings: EngineSettings = SETTINGS, purpose: Purpose = Purpose.STATES
) -> TextEncoder:
    engine = create("transformers", purpose)
    assert isinstance(engine, TextEncoder)
    engine.load(snapshot, settings, purpose)
    return engine


def embedding(engine: TextEncoder, snapshot: Path, max_tokens: int | None) -> EmbeddingTask:
    model = ModelSettings(path=snapshot, source="package", id="minilm", revision="1")
    return EmbeddingTask(engine, model, max_tokens)


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
        embedding(engine, minilm, 513)


def test_the_snapshot_states_the_limit_when_settings_do_not(
    engine: TextEncoder, minilm: Path
) -> None:
    assert embedding(engine, minilm, None).max_tokens == 256


def test_many_threads_tokenize_as_one_does(engine: TextEncoder) -> None:
    alone = [engine.tokenize([text], 256)[0] for text in texts()]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda text: engine.tokenize([text], 256)[0], texts() * 5))
    assert together == alone * 5


def test_half_precision_stays_near(engine: TextEncoder, minilm: Path) -> None:
    batch = TensorBatch.of(engine.tokenize(["a short text"], 256), 0)
    half = load(minilm, SETTINGS.model_copy(update={"dtype": "bfloat16"})).encode(batch)
    assert half.dtype == np.float32
    assert 0 < np.abs(half - engine.encode(batch)).max() < 0.1


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


@pytest.mark.parametrize(
    ("purpose", "task"),
    [
        (Purpose.SEQUENCE, "rerank or classification"),
        (Purpose.TOKENS, "token_classification"),
        (Purpose.SPAN, "question_answering"),
    ],
)
def test_a_model_without_the_head_is_refused_by_its_name(
    minilm: Path, purpose: Purpose, task: str
) -> None:
    with pytest.raises(EngineStartFailed, match=f"is a BertModel, which cannot do {task}"):
        load(minilm, purpose=purpose)


def test_a_head_is_never_drawn_by_lot(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    del config["architectures"]
    (copy / "config.json").unlink()
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(EngineStartFailed, match=r"lacks 2 weights .* classifier\.bias"):
        load(copy, purpose=Purpose.SEQUENCE)


def test_a_pooler_is_needed_by_a_head(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "model"
    shutil.copytree(tiny("topic"), folder)
    weights = load_file(folder / "model.safetensors")
    del weights["bert.pooler.dense.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EngineStartFailed, match=r"bert\.pooler\.dense\.weight"):
        load(folder, purpose=Purpose.SEQUENCE)


def test_labels_come_in_the_order_of_the_outputs(tiny: Callable[[str], Path]) -> None:
    assert load(tiny("topic"), purpose=Purpose.SEQUENCE).info.labels == TOPICS
    assert load(tiny("ner"), purpose=Purpose.TOKENS).info.labels == ENTITY_LABELS
    assert load(tiny("qa"), purpose=Purpose.SPAN).info.labels == ()


@pytest.fixture(scope="module")
def pointing(tiny: Callable[[str], Path]) -> TextEncoder:
    """An encoder whose answers point into the text."""
    return load(tiny("qa"), purpose=Purpose.SPAN)


def test_offsets_are_characters_of_the_text_as_it_was_sent(pointing: TextEncoder) -> None:
    text = "\U0001f600 小明 跑\U0001f680 Anna  sings"
    (item,) = pointing.tokenize([text], 64)
    parts = [text[start:end] for start, end in item.offsets if end > start]
    assert parts == ["\U0001f600", "小", "明", "跑", "\U0001f680", "Anna", "sings"]
    assert item.segments == [None, *[0] * 7, None]


def test_a_pair_is_told_apart_and_only_its_second_text_is_cut(pointing: TextEncoder) -> None:
    whole, cut = pointing.tokenize([("谁跑？", "小明跑。"), ("谁跑？", "小明跑。" * 9)], 12)
    assert (whole.truncated, cut.truncated) == (False, True)
    assert whole.segments == [None, 0, 0, 0, None, 1, 1, 1, 1, None]
    assert whole.type_ids == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert cut.tokens == 12
    assert cut.ids[:9] == whole.ids[:9]


def test_windows_cover_the_text_and_each_knows_its_segments(pointing: TextEncoder) -> None:
    context = "小明跑。小红跳。小刚唱。小丽笑。"
    windows = pointing.windows(("谁笑？", context), 14, 4)
    assert len(windows) > 2
    covered = []
    for window in windows:
        assert not window.truncated
        assert window.ids[:5] == windows[0].ids[:5]
        inside = [place for place, segment in enumerate(window.segments) if segment == 1]
        assert all(window.type_ids[place] == 1 for place in inside)
        covered.append([window.offsets[place][0] for place in inside])
    assert sorted({place for places in covered for place in places}) == list(range(len(context)))
    for before, after in pairwise(covered):
        assert before[-4:] == after[:4]


@pytest.mark.parametrize(("max_tokens", "overlap"), [(8, 0), (13, 3)])
def test_a_first_text_that_leaves_no_room_is_refused(
    pointing: TextEncoder, max_tokens: int, overlap: int
) -> None:
    pair = ("谁跑？谁跑", "小明跑。" * 9)
    with pytest.raises(TextTooLong):
        pointing.windows(pair, max_tokens, overlap)
    with pytest.raises(TextTooLong):
        pointing.tokenize([pair], 8)


def test_positions_that_roberta_keeps_for_itself_are_no_room(
    tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny("qa"))
    config = transformers.XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=34,
        type_vocab_size=1,
        pad_token_id=tokenizer.pad_token_id,
    )
    folder = tmp_path / "roberta"
    transformers.XLMRobertaModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    engine = load(folder)
    limit = engine.info.max_tokens
    assert limit == 34 - tokenizer.pad_token_id - 1
    batch = TensorBatch.of(engine.tokenize(["小明跑。" * 20], limit), tokenizer.pad_token_id)
    assert np.isfinite(engine.encode(batch)).all()
