# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Pickles before the seal, scanned by the real picklescan. Nothing here is unpickled."""

from __future__ import annotations

import io
import os
import pickle
import struct
import venv
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
from ansible_collections.modelops.serving.plugins.module_utils import _tools
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._manifest import Manifest
from ansible_collections.modelops.serving.plugins.module_utils._programs import scan_pickles
from ansible_collections.modelops.serving.plugins.module_utils._scan import Allowed, scan
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    lock_of,
    write,
)


class Runs:
    """Calls ``os.system`` when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def opcodes(*texts: bytes) -> bytes:
    return b"\x80\x02" + b"".join(texts) + b"."


def state_dict() -> bytes:
    """Return a pickle as ``torch.save`` writes it for one tensor of four numbers."""
    storage = (
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000"
        b"X\x03\x00\x00\x00cpuK\x04tQ"
    )
    tensor = (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00K\x04\x85K\x01\x85\x89"
        b"ccollections\nOrderedDict\n)RtR"
    )
    return opcodes(b"ccollections\nOrderedDict\n)RX\x06\x00\x00\x00weight", tensor, b"s")


def archive(compression: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    """Return a zip archive as ``torch.save`` writes it."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        for name, content in {"version": b"3\n", **members}.items():
            name = "archive/" + name.replace("__", "/").replace("_pkl", ".pkl")
            made.writestr(zipfile.ZipInfo(name), content, compression)
    return data.getvalue()


def old_torch(state: bytes) -> bytes:
    """Return a file as ``torch.save`` wrote it before it wrote archives."""
    parts = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    head = b"".join(pickle.dumps(part, 2) for part in parts)
    return head + state + pickle.dumps(["0"], 2) + struct.pack("<q4f", 4, 1, 2, 3, 4)


DANGEROUS = pickle.dumps(Runs(), 2)
# The first bytes of a tensor may look like those of a pickle.
LIKE_A_PICKLE = b"\x80\x04" + b"\xff" * 62


@pytest.fixture
def look(tmp_path, model_tools_python):
    """Scan one allowed file."""

    def run(data: bytes, name: str = "pytorch_model.bin", known=None, tools=model_tools_python):
        folder = write(tmp_path / "model", {name: data})
        manifest = Manifest.from_dict(lock_of({name: data}))
        return scan(str(folder), manifest, Allowed((name,), (), tools), known or {})

    return run


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("pytorch_model.bin", archive(data_pkl=state_dict(), data__0=bytes(16))),
        ("pytorch_model.bin", archive(data_pkl=state_dict(), data__0=LIKE_A_PICKLE)),
        ("pytorch_model.bin", old_torch(state_dict())),
        ("weights.pt", archive(zipfile.ZIP_DEFLATED, data_pkl=state_dict(), data__0=bytes(16))),
        ("labels.pkl", pickle.dumps(OrderedDict(a=[1, 2.5, "x"]), 4)),
        ("labels.pkl", pickle.dumps({"a": [1, 2.5, "x"]}, 0)),
        ("labels.bin", pickle.dumps({"a": 1}, 5)),
        ("labels", pickle.dumps({"a": 1}, 5)),
    ],
)
def test_harmless_pickles_pass(look, name, data):
    found = look(data, name)
    assert found["scanner"]["name"] == "picklescan"
    assert found["scanner"]["version"][0].isdigit()
    (finding,) = found["findings"]
    assert (finding["path"], finding["kind"], finding["decision"]) == (name, "pickle", "allowed")
    assert finding["detail"].endswith("; nothing dangerous found")
    assert look(data, name, known=found) == found


@pytest.mark.parametrize("name", ["pytorch_model.bin", "x.pt", "x.pkl", "x.joblib", "x", "x.BIN"])
@pytest.mark.parametrize(
    "data",
    [
        *(pickle.dumps(Runs(), protocol) for protocol in range(2, 6)),
        archive(data_pkl=DANGEROUS),
        archive(data_pkl=state_dict(), more_pkl=DANGEROUS),
        old_torch(DANGEROUS),
        DANGEROUS[:-1] + b"\xff",  # breaks only after the call
        opcodes(b"cos\nsystem\n(X\x04\x00\x00\x00truetR"),
    ],
)
def test_dangerous_pickles_are_refused_by_name_of_file_and_global(look, name, data):
    with pytest.raises(ModelError) as caught:
        look(data, name)
    assert (caught.value.code, caught.value.details["file"]) == ("content_refused", name)
    assert "system" in caught.value.message and name in caught.value.message
    assert "picklescan 1" in caught.value.message


@pytest.mark.parametrize("protocol", [0, 1])
def test_pickles_without_a_mark_are_refused_too(look, protocol):
    with pytest.raises(ModelError, match="imports posix.system"):
        look(pickle.dumps(Runs(), protocol))


def test_unknown_imports_are_reported(look):
    found = look(opcodes(b"cmodels.mine\nNet\n)R"), "x.pkl")
    assert found["findings"][0]["detail"].endswith("unknown imports: models.mine.Net")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.bin", b""),
        ("x.pkl", pickle.dumps({"a": [1]}, 4)[:-3]),
        ("x.pkl", pickle.dumps([1], 4) + b"\xff\xff more"),
        ("x.pt", archive(data_pkl=state_dict())[:-30]),
        ("x.pt", archive(readme=b"no pickle in it")),
        ("x.pt", archive(data_pkl=b"\x80\x02\xff")),
        ("x.pt", b"7z\xbc\xaf\x27\x1c" + bytes(40)),
        ("x.joblib", b"\x1f\x8b\x08" + bytes(40)),
        # a pickle in front of an archive: loaders take the pickle, others the archive
        ("x.pkl", pickle.dumps({"a": 1}, 2) + archive(data_pkl=state_dict())),
    ],
)
def test_what_cannot_be_scanned_to_its_end_is_refused(look, name, data):
    with pytest.raises(ModelError, match="cannot be scanned: ") as caught:
        look(data, name)
    assert (caught.value.code, caught.value.details["file"]) == ("content_refused", name)


def test_an_environment_without_the_scanner_is_said(tmp_path):
    venv.create(tmp_path / "empty", with_pip=False)
    with pytest.raises(ModelError, match="has no picklescan") as caught:
        _tools.run_tool(str(tmp_path / "empty"), scan_pickles, {"folder": "", "files": []})
    assert caught.value.code == "tools_missing"


def test_the_scan_leaves_the_files_as_they_are(look, tmp_path):
    data = archive(data_pkl=state_dict(), data__0=bytes(16))
    look(data)
    assert {path.name for path in Path(tmp_path, "model").iterdir()} == {"pytorch_model.bin"}
    assert Path(tmp_path, "model", "pytorch_model.bin").read_bytes() == data
