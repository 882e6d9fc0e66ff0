# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a snapshot is looked into: before the first byte, before the seal, and never twice."""

from __future__ import annotations

import json
import os
import pickle
import sys

import pytest
from ansible_collections.modelops.serving.plugins.module_utils import _scan
from ansible_collections.modelops.serving.plugins.module_utils._approval import Policy
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._snapshot import Choice, Snapshot
from ansible_collections.modelops.serving.plugins.module_utils._store import Place
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    make_source,
    safetensors,
    write,
)

PICKLE = pickle.dumps({"a": 1}, 2)


@pytest.fixture
def place(tmp_path):
    return Place(str(tmp_path / "store"), "modelscope", "owner/name", "v1.0.0")


class Scanner:
    """A stand-in for the scanner: it finds nothing, and remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, _python, _program, request):
        self.asked.append(request["files"])
        nothing = {"dangerous": [], "unknown": [], "errors": []}
        return {
            "scanner": {"name": "stand-in", "version": "1"},
            "files": [{"path": path, **nothing} for path in request["files"]],
        }


@pytest.fixture
def scans(monkeypatch):
    """What the scanner was asked."""
    scanner = Scanner()
    monkeypatch.setattr(_scan, "run_tool", scanner)
    return scanner.asked


@pytest.fixture
def present(hub_root, model_hub, model, place):
    """Run once over the tiny model and ``more``; further names are those of a policy."""

    def run(more=None, check_mode=False, exclude=(), choice=None, **policy):
        write(hub_root / "owner" / "name", {**model, **(more or {})})
        source = make_source("modelscope", model_hub.url, work=place.archive)
        chosen = Choice(exclude=exclude, policy=Policy(**policy), **(choice or {}))
        return Snapshot(place, source, chosen).present(check_mode)

    return run


def refused(run, *arguments, **options):
    with pytest.raises(ModelError) as caught:
        run(*arguments, **options)
    return caught.value


def fetched(hub):
    return [record for record in hub.journal.records() if "FilePath=" in json.dumps(record)]


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize(
    ("path", "code"), [("pytorch_model.bin", "unsafe_weights"), ("modeling.py", "code_refused")]
)
def test_names_are_refused_before_the_first_byte(present, place, model_hub, check_mode, path, code):
    error = refused(present, {path: PICKLE}, check_mode)
    assert (error.code, error.details["files"]) == (code, [path])
    assert fetched(model_hub) == []
    assert not os.path.lexists(place.path) and not os.path.lexists(place.partial)
    assert present(exclude=("*.bin", "*.py")).changed
    assert fetched(model_hub)


def test_contents_are_refused_before_the_seal(present, place):
    error = refused(present, {"notes": PICKLE})
    assert (error.code, error.details["files"]) == ("unsafe_weights", ["notes"])
    assert not os.path.lexists(place.path) and not os.path.lexists(place.manifest)
    assert os.path.isdir(place.partial)  # nothing is lost


def test_every_header_is_looked_at_not_only_that_of_the_model(present, place):
    error = refused(present, {"x/other.safetensors": safetensors({}, b"hole")})
    assert (error.code, error.details["path"]) == ("weights_invalid", "x/other.safetensors")
    assert not os.path.lexists(place.path)


def test_missing_tools_lose_nothing(present, place, model_hub, monkeypatch):
    error = refused(present, {"a.bin": PICKLE}, allow_pickle=("a.bin",))
    assert error.code == "tools_missing"
    assert not os.path.lexists(place.path)
    assert fetched(model_hub)
    model_hub.journal.clear()
    monkeypatch.setattr(_scan, "run_tool", Scanner())
    assert present(allow_pickle=("a.bin",)).changed
    assert fetched(model_hub) == []  # what was fetched before was still there


def test_the_proof_is_kept_and_a_second_run_scans_nothing(present, place, scans):
    allowed = {"allow_pickle": ("*.bin",), "allow_code": ("*.py",), "tools_python": "python"}
    first = present({"a.bin": PICKLE, "m.py": b"x"}, **allowed).to_dict()
    assert first["scan"]["files"] == 6
    assert first["scan"]["scanner"] == {"name": "stand-in", "version": "1"}
    assert [item["path"] for item in first["scan"]["findings"]] == ["a.bin", "m.py"]
    with open(place.proof) as stream:
        proof = json.load(stream)
    assert {key: proof["scan"][key] for key in first["scan"]} == first["scan"]
    second = present(**allowed).to_dict()
    assert not second["changed"]
    assert second["scan"] == first["scan"]
    assert scans == [["a.bin"], []]


def test_a_stricter_policy_holds_for_what_is_there(present, place, scans):
    present({"a.bin": PICKLE}, allow_pickle=("*",), tools_python="python")
    assert refused(present).code == "unsafe_weights"
    assert os.path.isdir(place.path)
    wider = present(allow_pickle=("*",), allow_code=("*",), tools_python="python")
    assert wider.files == [{"path": ".", "size": None, "reason": "proof"}]
    assert present(exclude=("*.bin",)).changed
    assert not os.path.exists(os.path.join(place.path, "a.bin"))


def test_a_snapshot_without_a_proof_is_looked_into_once(present, place):
    present()
    os.unlink(place.proof)
    assert present(check_mode=True).changed
    assert not os.path.exists(place.proof)
    assert present().changed
    assert not present().changed


def test_check_mode_has_no_scan_of_what_is_not_there(present):
    assert present(check_mode=True).to_dict()["scan"] is None


CLIENT = """#!{python}
import json, os, sys
asked = json.load(sys.stdin)
os.symlink({target!r}, os.path.join(asked["folder"], {name!r}))
"""


@pytest.mark.parametrize(
    ("target", "name"), [("/etc/hostname", "README.md"), ("/etc", "1_Pooling")]
)
def test_links_that_a_client_makes_are_refused(present, place, tmp_path, target, name):
    client = tmp_path / "python"  # a stand-in for an environment with a hub's client
    client.write_text(CLIENT.format(python=sys.executable, target=target, name=name))
    client.chmod(0o755)
    error = refused(present, choice={"client": "modelscope", "client_python": str(client)})
    assert (error.code, error.details["path"]) == ("unsafe_path", name)
    assert not os.path.lexists(place.path)
