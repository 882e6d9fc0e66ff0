# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The real clients of ModelScope and Hugging Face against the test hub.

This proves the stand-in: what the hubs' own clients accept byte for byte is close enough to a hub
for our own downloads to be tested against it.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub import Hub

DOWNLOAD = Path(__file__).with_name("download.py")
CLIENTS = ("modelscope", "huggingface_hub")
BRANCHES = {"modelscope": "master", "huggingface_hub": "main"}
WEIGHTS = "model.safetensors"
WEIGHTS_BYTES = 24 * 1024 * 1024  # huggingface_hub keeps what it has in chunks of 10 MB

Download = Callable[..., "subprocess.CompletedProcess[str]"]
pytestmark = pytest.mark.parametrize("client", CLIENTS)


@pytest.fixture
def model() -> dict[str, bytes]:
    """The files of a model, the same ones in every run: small, nested, empty, odd names, large."""
    return {
        "config.json": b'{"model_type": "bert"}',
        "nested/deeper/vocabulary.txt": "词\n汇\n".encode(),
        "a name with spaces & +.txt": b"odd",
        "empty.txt": b"",
        WEIGHTS: random.Random(7).randbytes(WEIGHTS_BYTES),
    }


@pytest.fixture(autouse=True)
def repositories(hub_root: Path, model: dict[str, bytes]) -> None:
    for name in ("owner/tiny-model.v1", "owner/private-model"):
        for path, content in model.items():
            (hub_root / name / path).parent.mkdir(parents=True, exist_ok=True)
            (hub_root / name / path).write_bytes(content)


@pytest.fixture
def download(clients_python: Path, model_hub: Hub, tmp_path: Path) -> Download:
    """A function that runs one client and returns the finished process."""
    inherited = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    caches = {key: str(tmp_path / key) for key in ("HOME", "MODELSCOPE_CACHE", "HF_HOME")}

    def run(
        client: str, model: str = "owner/tiny-model.v1", revision: str = "", token: str = ""
    ) -> subprocess.CompletedProcess[str]:
        asked = [model_hub.url, model, revision or BRANCHES[client], str(tmp_path / "model")]
        command = [str(clients_python), str(DOWNLOAD), client, *asked, *([token] if token else [])]
        return subprocess.run(
            command,
            check=False,
            env={**inherited, **caches},
            capture_output=True,
            text=True,
            timeout=180,
        )

    return run


def downloaded(tmp_path: Path) -> dict[str, bytes]:
    """Return the files that a client left, without its own notes."""
    root = tmp_path / "model"
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.relative_to(root).parts[0].startswith(".")
    }


def succeed(process: subprocess.CompletedProcess[str]) -> None:
    assert process.returncode == 0, process.stderr[-3000:]


def weight_requests(hub: Hub) -> list[dict[str, Any]]:
    return [
        record
        for record in hub.journal.records(host="localhost", method="GET")
        if record["path"].partition("?")[0].endswith(WEIGHTS)
    ]


def test_every_byte_arrives(
    client: str, download: Download, model: dict[str, bytes], model_hub: Hub, tmp_path: Path
) -> None:
    succeed(download(client))
    assert downloaded(tmp_path) == model
    assert len(weight_requests(model_hub)) == 1


def test_a_tag_and_a_commit_are_revisions(
    client: str, download: Download, hub_root: Path, model_hub: Hub, tmp_path: Path
) -> None:
    tagged = hub_root / "owner" / "tiny-model.v1@v2"
    tagged.mkdir()
    (tagged / "config.json").write_text('{"model_type": "gpt2"}')
    repository = model_hub.shelf.find("owner", "tiny-model.v1", "v2", "main")
    assert repository is not None
    for revision in ("v2", repository.commit):
        succeed(download(client, revision=revision))
        assert downloaded(tmp_path) == {"config.json": b'{"model_type": "gpt2"}'}
    assert download(client, revision="absent").returncode != 0


def test_a_private_model_needs_the_token_and_the_cdn_never_sees_it(
    client: str, download: Download, model: dict[str, bytes], model_hub: Hub, tmp_path: Path
) -> None:
    assert download(client, "owner/private-model").returncode != 0
    assert downloaded(tmp_path) == {}
    succeed(download(client, "owner/private-model", token=model_hub.token))
    assert downloaded(tmp_path) == model
    assert model_hub.journal.token_hosts() == ["127.0.0.1"]


def test_an_interrupted_download_is_resumed(
    client: str, download: Download, model: dict[str, bytes], model_hub: Hub, tmp_path: Path
) -> None:
    model_hub.faults.add("cut", WEIGHTS)
    succeed(download(client))
    assert downloaded(tmp_path) == model
    first, second = weight_requests(model_hub)
    assert first["faults"] == ["cut"] and second["status"] == 206
    sent = [request["sent"] for request in (first, second)]
    assert sum(sent) < 2 * WEIGHTS_BYTES and 0 < sent[1] < WEIGHTS_BYTES


def test_a_hub_without_range_is_survived(
    client: str, download: Download, model: dict[str, bytes], model_hub: Hub, tmp_path: Path
) -> None:
    model_hub.faults.add("cut", WEIGHTS)
    model_hub.faults.add("no_range", WEIGHTS, count=-1)
    succeed(download(client))
    assert downloaded(tmp_path) == model


def test_only_modelscope_notices_a_flipped_byte(
    client: str, download: Download, model: dict[str, bytes], model_hub: Hub, tmp_path: Path
) -> None:
    """Why the collection hashes for itself, whichever client fetches."""
    model_hub.faults.add("corrupt", WEIGHTS)
    succeed(download(client))
    assert (downloaded(tmp_path) == model) is (client == "modelscope")
