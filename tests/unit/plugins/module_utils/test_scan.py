# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused in a model's files, what is taken by name, and what is remembered.

``scanner`` is a stand-in for the program of the tools environment; tests/model_tools runs the real
one.
"""

from __future__ import annotations

import io
import os
import pickle
import socket
import struct
import tarfile
import zipfile
import zlib

import pytest
from ansible_collections.modelops.serving.plugins.module_utils import _code, _pickles, _scan
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._manifest import Manifest
from ansible_collections.modelops.serving.plugins.module_utils._pickles import is_data
from ansible_collections.modelops.serving.plugins.module_utils._scan import (
    Allowed,
    check_names,
    scan,
)
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    gguf,
    lock_of,
    safetensors,
    write,
)


class Scanner:
    """A stand-in: says of each file what the test wants, and counts how often it was asked."""

    def __init__(self):
        self.version = "1"
        self.found = {}
        self.asked = []

    def __call__(self, python, _program, request):
        if not python:
            raise ModelError("no tools", "tools_missing")
        self.asked.append(request["files"])
        nothing = {"dangerous": [], "unknown": [], "errors": []}
        return {
            "scanner": {"name": "stand-in", "version": self.version},
            "files": [
                {"path": path, **nothing, **self.found.get(path, {})} for path in request["files"]
            ],
        }


@pytest.fixture
def scanner(monkeypatch):
    found = Scanner()
    monkeypatch.setattr(_scan, "run_tool", found)
    return found


@pytest.fixture
def look(tmp_path):
    """Scan these files: ``look(files, pickle=..., code=..., known=...)``."""

    def run(files, pickle=(), code=(), known=None, tools="python"):
        folder = write(tmp_path / "model", files)
        manifest = Manifest.from_dict(lock_of(files))
        return scan(str(folder), manifest, Allowed(pickle, code, tools), known or {})

    return run


def refused(run, *arguments, **options):
    with pytest.raises(ModelError) as caught:
        run(*arguments, **options)
    return caught.value


def archive(**members):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        for name, content in members.items():
            # A fixed time: the bytes are part of the names of tests
            member = zipfile.ZipInfo(name.replace("__", "/").replace("_at_", "."))
            made.writestr(member, content)
    return data.getvalue()


def array(descr, version=1):
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': (1,), }}".encode()
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header


PICKLES = {protocol: pickle.dumps({"a": [1.5]}, protocol) for protocol in range(6)}
FIELDS = "[('O', '<f4'), ('y', [('z', '|O')])]"


def test_a_safe_model_has_no_findings(look, model):
    more = {
        "x.npy": array("'<f4'"),
        "x.npz": archive(a_at_npy=array("[('O', '<f4', (2,))]")),
        "tokenizer.json": b'{"model": {"vocab": {"plugins": 1, "auto_map": 2, "a\\u0041": 3}}}',
        "data.zip": archive(a_at_txt=b"x"),
        "x.gguf": gguf(),
        "modules.json": b'[{"type": "sentence_transformers.models.Pooling"}]',
        # the length of this header makes it begin like a pickle of protocol 2
        "y.safetensors": safetensors(b"{" + b" " * (0x4B0280 - 2) + b"}"),
    }
    found = look({**model, **more})
    assert (found["files"], found["findings"]) == (len(model) + len(more), [])
    assert found["scanner"] is None


@pytest.mark.parametrize(
    "path",
    ["pytorch_model.bin", "a/b.PT", "x.ckpt", "optimizer.pth", "x.pkl", "a.joblib", "m.pdparams"],
)
def test_pickles_are_refused_by_name(path):
    error = refused(check_names, ["config.json", path], Allowed(), "the model")
    assert (error.code, error.details["files"]) == ("unsafe_weights", [path])
    assert path in error.message
    assert "exclude" in error.message and "allow_pickle" in error.message
    check_names([path], Allowed(pickle=("*.bin", path)), "the model")


@pytest.mark.parametrize(
    "path",
    [
        "modeling.py",
        "x.pyc",
        "lib/a.so",
        "a.so.1.2",
        "run.SH",
        "x.jar",
        "m.whl",
        "tf_model.h5",
        "m.keras",
    ],
)
def test_code_is_refused_by_name(path):
    error = refused(check_names, ["config.json", path], Allowed(pickle=("*",)), "the model")
    assert (error.code, error.details["files"]) == ("code_refused", [path])
    assert "exclude" in error.message and "allow_code" in error.message
    check_names([path], Allowed(code=(path,)), "the model")


def test_many_files_are_counted_not_listed():
    error = refused(check_names, [f"{i}.py" for i in range(9)], Allowed(), "the model")
    assert "4.py" in error.message and "5.py" not in error.message
    assert "and 4 more" in error.message
    assert len(error.details["files"]) == 9


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (PICKLES[2], "protocol 2"),
        (PICKLES[3], "protocol 3"),
        (PICKLES[4], "protocol 4"),
        (PICKLES[5], "protocol 5"),
        (archive(m__data_at_pkl=b"x"), "a zip archive with 'm/data.pkl'"),
        (archive(a_at_npy=array("'|O'")), "'a.npy', an array of Python objects"),
        (archive(a_at_npy=b"broken"), "'a.npy', an array of Python objects"),
        (archive(a_at_txt=b"x")[:-9], "cannot be listed"),
        (array("'|O'"), "Python objects"),
        (array(FIELDS, 2), "Python objects"),
        (array("'<f4'")[:30], "Python objects"),
    ],
)
def test_pickles_are_refused_by_content(look, data, detail):
    error = refused(look, {"tokenizer.model": data})
    assert error.code == "unsafe_weights"
    assert detail in error.message and "tokenizer.model" in error.message


def test_a_table_of_members_that_is_too_large_is_not_read(look, monkeypatch):
    monkeypatch.setattr(_pickles, "DIRECTORY_BYTES", 50)
    data = archive(a_at_txt=b"x", b_at_txt=b"x")
    assert "cannot be listed" in refused(look, {"a.zip": data}).message


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"\x7fELF\x02", "an ELF program"),
        (b"#!/bin/sh\n", "a script"),
        (archive(code__a_at_py=b""), "a zip archive with 'code/a.py'"),
    ],
)
def test_code_is_refused_by_content(look, data, detail):
    error = refused(look, {"helper": data})
    assert error.code == "code_refused"
    assert detail in error.message


REMOTE = [
    ("config.json", b'{"a": [{"auto_map": {"AutoModel": "m.Model"}}]}', 'auto_map: {"AutoModel"'),
    ("x/tokenizer_config.json", b'{"\\u0061uto_map": "m.T"}', 'auto_map: "m.T"'),
    ("processor_config.json", '{"auto_map": ["m"]}'.encode("utf-16"), "auto_map"),
    ("config.json", b'{"auto_map": {"a": "b"}, "auto_map": {}}', "auto_map"),
    ("config.json", b'{"custom_pipelines": {"p": {"impl": "p.P"}}}', "custom_pipelines"),
    ("configuration.json", b'{"task": {"allow_remote": true}}', "allow_remote: true"),
    ("configuration.json", b'{"plugins": ["x"]}', 'plugins: ["x"]'),
    ("modules.json", b'[{"type": "custom.Module"}]', 'type: "custom.Module"'),
    ("config.json", b'{"auto_map": ', "not JSON"),
    ("config.json", b'{"auto_map": {"a": 1}, "b": ' + b"[" * 100_000, "not JSON"),
]


@pytest.mark.parametrize(("path", "data", "detail"), REMOTE)
def test_settings_that_load_code_are_refused(look, path, data, detail):
    error = refused(look, {path: data})
    assert error.code == "code_refused"
    assert path in error.message and detail in error.message
    assert "never runs it" in error.message
    found = look({path: data}, code=(path,))["findings"]
    assert {(item["path"], item["kind"], item["decision"]) for item in found} == {
        (path, "remote_code", "allowed")
    }


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("config.json", b'{"auto_map": {}, "plugins": ["x"], "allow_remote": true}'),
        ("configuration.json", b'{"allow_remote": false, "plugins": []}'),
        ("vocab.json", b'{"auto_map": 7}'),
        ("notes.json", b"not JSON, and no name of interest"),
    ],
)
def test_other_settings_are_none_of_its_business(look, path, data):
    assert look({path: data})["findings"] == []


def test_a_name_of_interest_is_found_across_chunks(look, monkeypatch):
    monkeypatch.setattr(_code, "_CHUNK", 64)
    for offset in range(40, 70):
        data = b'{"a": "' + b"x" * offset + b'", "auto_map": {"a": "b"}}'
        assert refused(look, {"config.json": data}).code == "code_refused"
    monkeypatch.setattr(_code, "JSON_BYTES", 20)
    assert "too large" in refused(look, {"config.json": data}).message


def test_numbers_of_very_many_digits_cost_nothing(look):
    data = b'{"auto_map": {}, "a": ' + b"9" * 3_000_000 + b"}"
    assert look({"config.json": data})["findings"] == []


def test_broken_weights_are_named(look):
    error = refused(look, {"a.safetensors": safetensors({}, b"x")})
    assert (error.code, error.details["path"]) == ("weights_invalid", "a.safetensors")
    error = refused(look, {"a.GGUF": b"GGUF"})
    assert (error.code, error.details["path"]) == ("weights_invalid", "a.GGUF")


FILES = {"config.json": b"{}", "a.bin": PICKLES[2], "b/x.pkl": PICKLES[0]}


def test_allowed_pickles_are_scanned(look, scanner):
    scanner.found["a.bin"] = {"unknown": ["torch.nn.Linear"]}
    found = look(FILES, pickle=("*.bin", "b/"))
    assert scanner.asked == [["a.bin", "b/x.pkl"]]
    assert found["scanner"] == {"name": "stand-in", "version": "1"}
    assert [item["path"] for item in found["findings"]] == ["a.bin", "b/x.pkl"]
    assert "unknown imports: torch.nn.Linear" in found["findings"][0]["detail"]
    assert refused(look, FILES, pickle=("*.bin",)).details["files"] == ["b/x.pkl"]


def test_pickles_of_other_names_are_scanned_too(look, scanner):
    look({"data": PICKLES[4]}, pickle=("data",))
    assert scanner.asked == [["data"]]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"dangerous": ["os.system"]}, "imports os.system"),
        ({"errors": ["could not parse"]}, "cannot be scanned: could not parse"),
    ],
)
def test_dangerous_and_unreadable_pickles_are_refused(look, scanner, found, said):
    scanner.found["a.bin"] = found
    error = refused(look, FILES, pickle=("*",))
    assert (error.code, error.details["file"]) == ("content_refused", "a.bin")
    assert said in error.message and "a.bin" in error.message


def test_a_file_that_the_scanner_leaves_out_is_refused(look, scanner, monkeypatch):
    answer = {"scanner": {"name": "x", "version": "1"}, "files": []}
    monkeypatch.setattr(_scan, "run_tool", lambda *_args: answer)
    assert "it was not scanned" in refused(look, FILES, pickle=("*",)).message


def test_no_tools_no_pickles(look):
    error = refused(look, FILES, pickle=("*",), tools="")
    assert error.code == "tools_missing"


def test_data_that_is_only_called_a_pickle_needs_no_scanner(look, scanner):
    found = look({"model.bin": b"lmgg" + bytes(99)}, pickle=("*.bin",))
    assert [item["detail"] for item in found["findings"]] == ["no pickle in truth"]
    assert (scanner.asked, found["scanner"]) == ([], None)


def tar():
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as made:
        made.addfile(tarfile.TarInfo("storages"))
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"lmgg" + bytes(99), True),
        (bytes(99), True),
        (array("'<f4'"), True),
        (b"", False),  # nothing is no proof
        *((data, False) for data in PICKLES.values()),
        (b"cos\nsystem\n\xff", False),  # runs before it breaks
        (b"I1_0x\n", False),  # an argument that only this reader refuses
        (b"X\xff\xff\x00\x00" + b"a" * 99, False),  # cut in an argument
        (zlib.compress(PICKLES[4]), False),
        (archive(a=b""), False),
        (tar(), False),
    ],
)
def test_data_is_what_no_loader_of_pickles_can_run(tmp_path, data, expected):
    path = tmp_path / "x.bin"
    path.write_bytes(data)
    assert is_data(str(path)) is expected


def test_a_result_is_kept_while_what_it_depends_on_is_the_same(look, scanner):
    first = look(FILES, pickle=("*",))
    scanner.asked.clear()
    assert look(FILES, pickle=("*",), known=first) == first
    assert scanner.asked == [[]]  # only the version was asked for
    assert look(FILES, pickle=("*",), known=first, tools="") == first
    scanner.version = "2"
    assert look(FILES, pickle=("*",), known=first)["scanner"]["version"] == "2"
    assert refused(look, FILES, known=first).code == "unsafe_weights"
    other = {**FILES, "b/x.pkl": PICKLES[1]}
    scanner.found["b/x.pkl"] = {"dangerous": ["os.system"]}
    assert refused(look, other, pickle=("*",), known=first).code == "content_refused"
    assert refused(look, FILES, pickle=("*",), known={**first, "rules": 0})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: os.symlink("/etc/passwd", path), "a link"),
        (lambda path: os.symlink(".", path), "a link"),
        (os.mkfifo, "no plain file"),
        (lambda path: socket.socket(socket.AF_UNIX).bind(str(path)), "no plain file"),
    ],
)
def test_what_is_no_plain_file_is_refused(look, tmp_path, monkeypatch, make, said):
    write(tmp_path / "model", {"sub/x": b"x"})
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    make("model/sub/y")
    error = refused(look, {"config.json": b"{}"})
    assert (error.code, error.details["path"]) == ("unsafe_path", "sub/y")
    assert said in error.message
