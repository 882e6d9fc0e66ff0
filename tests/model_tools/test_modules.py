# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The way of a signature through the modules: lock, sign, fetch, refuse, describe."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from ad_hoc import Call
from hub import Hub

_KEY = (
    "openssl ecparam -genkey -name prime256v1 -noout -out {0}.pem && openssl ec -in {0}.pem -pubout"
)


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    """The public keys of two private ones, which lie in ours.pem and theirs.pem."""
    return {
        name: subprocess.run(
            _KEY.format(tmp_path / name), shell=True, capture_output=True, text=True, check=True
        ).stdout
        for name in ("ours", "theirs")
    }


def test_a_signed_model(
    call: Call,
    keys: dict[str, str],
    hub_root: Path,
    model_hub: Hub,
    model_tools_python: str,
    tmp_path: Path,
) -> None:
    folder = hub_root / "owner" / "name"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"architectures": ["BertModel"], "model_type": "bert"}')
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    source = {"source": "modelscope", "id": "owner/name", "revision": "v1.0.0"}
    source["endpoint"] = model_hub.url
    locked = call("model_lock", **source)
    assert not locked["failed"], locked

    dest = tmp_path / "model.sig"
    sign = {"private_key": str(tmp_path / "ours.pem"), "dest": str(dest)}
    sign["tools_python"] = model_tools_python
    foreseen = call("model_signature", "--check", **sign, lock=locked["lock"])
    assert foreseen["changed"] and not dest.exists(), foreseen
    signed = call("model_signature", **sign, lock=locked["lock"])
    assert signed["changed"] and signed["method"] == "key", signed
    again = call("model_signature", **sign, lock=locked["lock"])
    assert not again["changed"] and again["key"] == signed["key"], again

    fetch = {
        **source,
        "lock": locked["lock"],
        "store": str(tmp_path / "store"),
        "signature": dest.read_text(),
        "require_signature": True,
        "tools_python": model_tools_python,
    }
    model_hub.journal.clear()
    refused = call("model_snapshot", **fetch, trusted_keys=[keys["theirs"]])
    assert refused["failed"] and refused["code"] == "signature_invalid", refused
    assert model_hub.journal.records() == []
    assert not (tmp_path / "store").exists()

    trusted = {**fetch, "trusted_keys": [keys["theirs"], keys["ours"]]}
    fetched = call("model_snapshot", **trusted)
    assert fetched["changed"] and fetched["signature"]["verified"], fetched
    assert fetched["signature"]["key"] == signed["key"]
    unchanged = call("model_snapshot", **trusted)
    assert not unchanged["changed"], unchanged
    assert unchanged["signature"] == fetched["signature"]

    # The same files from the snapshot: the same signature stands.
    from_snapshot = call("model_signature", **sign, snapshot=fetched["path"])
    assert not from_snapshot["changed"], from_snapshot

    (tmp_path / "requirements.lock").write_text("flask==3.1.3 --hash=sha256:" + "0" * 64 + "\n")
    described = call(
        "model_bill_of_materials",
        snapshot=fetched["path"],
        environment=str(tmp_path),
        tools_python=model_tools_python,
    )
    assert not described["failed"] and not described["changed"], described
    component = json.loads(described["bom"])["metadata"]["component"]
    assert component["licenses"][0]["license"]["id"] == "Apache-2.0"
    verified = {item["name"]: item["value"] for item in component["properties"]}
    assert verified["modelops:signature:key"] == signed["key"]

    # What is signed no longer is what the lock says.
    other = [{**item, "sha256": "0" * 64} for item in locked["lock"]["files"]]
    moved = call("model_snapshot", **{**trusted, "lock": {**locked["lock"], "files": other}})
    assert moved["failed"] and moved["code"] == "signature_invalid", moved
    assert "'README.md' was signed with other content" in moved["msg"]
    assert (Path(fetched["path"]) / "model.safetensors").exists()
