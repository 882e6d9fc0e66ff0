# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The model modules, called ad hoc as a user does, against the test hub: no role, no container."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from ad_hoc import Call
from hub import Hub

PROJECT = Path(__file__).resolve().parents[2]
ID = "owner/private-model"
CONFIG = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "intermediate_size": 64,
    "vocab_size": 100,
    "max_position_embeddings": 128,
}


def safetensors(items: int) -> bytes:
    """Return a safetensors file with one float32 tensor of zeros."""
    offsets = [0, 4 * items]
    header = json.dumps({"w": {"dtype": "F32", "shape": [items], "data_offsets": offsets}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4 * items)


@pytest.fixture
def weights(hub_root: Path) -> Path:
    """The weights of a small model with a configuration, at the hub."""
    folder = hub_root / ID
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "model.safetensors").write_bytes(safetensors(500_000))
    return folder / "model.safetensors"


@pytest.fixture
def fetch(call: Call, model_hub: Hub, tmp_path: Path) -> Call:
    """A function that runs model_snapshot for the private model of a source, into one store."""

    def run(source: str, **options: Any) -> dict[str, Any]:
        model = {**named(source, model_hub), "token": model_hub.token}
        return call("model_snapshot", **model, store=str(tmp_path / "store"), **options)

    return run


def named(source: str, hub: Hub) -> dict[str, str]:
    """Return the options that name the private model at a source."""
    endpoint = hub.url + ("/store" if source == "http" else "")
    return {"source": source, "id": ID, "revision": "v1.0.0", "endpoint": endpoint}


@pytest.mark.parametrize("source", ["modelscope", "huggingface", "http"])
def test_lock_and_fetch(
    source: str, call: Call, fetch: Call, weights: Path, model_hub: Hub
) -> None:
    locked = call("model_lock", **named(source, model_hub), token=model_hub.token)
    assert not locked["failed"], locked
    paths = [item["path"] for item in locked["lock"]["files"]]
    assert paths == ["config.json", "model.safetensors"]

    fetched = fetch(source, lock=locked["lock"])
    assert fetched["changed"] and not fetched["failed"], fetched
    assert Path(fetched["path"], weights.name).read_bytes() == weights.read_bytes()
    assert model_hub.journal.token_hosts() == ["127.0.0.1"]

    model_hub.journal.clear()
    again = fetch(source, lock=locked["lock"])
    assert not again["changed"] and not again["failed"], again
    assert model_hub.journal.records() == []


def test_look_and_plan(call: Call, fetch: Call, weights: Path) -> None:
    fetched = fetch("http")
    assert not fetched["failed"], fetched
    found = call("model_snapshot_info", path=fetched["path"], verify="full")
    assert found["exists"] and found["matches"] and not found["changed"], found

    from_files = call("model_plan", snapshot=fetched["path"], memory_bytes=2**33, cpus=2)
    assert from_files["plan"]["parameters"]["value"] == 500_000
    assert from_files["plan"]["max_tokens"]["value"] == 128
    from_lock = call("model_plan", lock=fetched["manifest"], memory_bytes=2**33, cpus=2)
    assert from_lock["plan"] == from_files["plan"]


def test_a_corrupt_download_leaves_no_snapshot(
    fetch: Call, weights: Path, model_hub: Hub, tmp_path: Path
) -> None:
    model_hub.faults.add("corrupt", weights.name, count=-1)
    failed = fetch("huggingface", retries=1)
    assert failed["failed"] and failed["code"] == "hash_mismatch", failed
    assert not list((tmp_path / "store").rglob("v1.0.0"))
