# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module model_plan: from options to a plan or a refusal with a code."""

from __future__ import annotations

import json
import struct

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.modelops.serving.plugins.modules import model_plan


@pytest.fixture
def plan(capsys):
    """A function that runs the module and returns its result."""

    def run(**options):
        with patch_module_args(options), pytest.raises(SystemExit):
            model_plan.main()
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def model(tmp_path):
    """The folder of a whole model with 10 parameters."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [10], "data_offsets": [0, 40]}}).encode()
    weights = struct.pack("<Q", len(header)) + header + bytes(40)
    (tmp_path / "model.safetensors").write_bytes(weights)
    (tmp_path / "config.json").write_text('{"model_type": "bert", "hidden_size": 2}')
    return tmp_path


@pytest.fixture
def lock(model):
    """A lock of the model's files that says nothing about the model itself."""
    files = [
        {"path": path.name, "size": path.stat().st_size, "sha256": "0" * 64}
        for path in sorted(model.iterdir())
    ]
    return {
        "lock_version": 1,
        "source": "path",
        "id": "tiny",
        "revision": "1",
        "commit": "1",
        "model": {},
        "files": files,
    }


def test_a_folder_is_planned_with_what_this_host_has(plan, model):
    planned = plan(snapshot=str(model))
    assert planned["changed"] is False and planned["estimated"] is False
    assert planned["plan"]["parameters"]["value"] == 10
    assert planned["plan"]["memory_max_bytes"]["value"] < planned["host"]["memory_bytes"]


def test_host_facts_and_wishes_are_taken(plan, model):
    planned = plan(
        snapshot=str(model),
        memory_bytes=2**33,
        cpus=4,
        resources={"memory": "3G", "cpus": "2.5"},
        limits={"body": 1048576, "timeout": 9},
    )
    assert planned["host"] == {"memory_bytes": 2**33, "cpus": 4}
    values = {key: item["value"] for key, item in planned["plan"].items()}
    assert (values["memory_max_bytes"], values["threads"]) == (3 * 2**30, 2)
    assert (values["body_bytes"], values["request_timeout_seconds"]) == (1048576, 9)


def test_a_lock_stands_for_a_folder_that_is_not_there_yet(plan, model, lock):
    planned = plan(snapshot=str(model / "absent"), lock=lock)
    stored = lock["files"][1]["size"]
    assert planned["plan"]["weights_bytes"]["value"] == pytest.approx(2 * stored, abs=4)


def test_check_mode_needs_no_model_yet(plan, model):
    planned = plan(snapshot=str(model / "absent"), _ansible_check_mode=True)
    assert planned["estimated"] is True and planned["plan"]["threads"]["value"] >= 1


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ({"memory_bytes": 2**29}, "insufficient_memory", "take a host with more memory"),
        ({"resources": {"memory": "much"}}, "invalid_option", "resources.memory is 'much'"),
        ({"resources": {"cpus": "-1"}}, "invalid_option", "resources.cpus is '-1'"),
        ({"limits": {"timeout": "soon"}}, "invalid_option", "limits.timeout is 'soon'"),
        ({"snapshot": "/absent"}, "model_incomplete", "There is no folder /absent"),
        ({"snapshot": "/absent", "lock": {"files": 1}}, "invalid_lock", "lock"),
    ],
)
def test_refusals_have_a_code_and_say_why(plan, model, options, code, said):
    refused = plan(**{"snapshot": str(model), **options})
    assert refused["failed"] and refused["code"] == code
    assert said in refused["msg"]


def test_a_model_without_configuration_is_refused(plan, model):
    (model / "config.json").unlink()
    assert plan(snapshot=str(model))["code"] == "model_incomplete"


def test_a_model_with_pickle_only_is_refused(plan, model):
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    assert plan(snapshot=str(model))["code"] == "unsafe_weights"


def test_an_export_beside_pickle_does_not_make_it_safe(plan, model):
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    (model / "onnx").mkdir()
    (model / "onnx" / "model.onnx").write_bytes(b"onnx")
    assert plan(snapshot=str(model))["code"] == "unsafe_weights"
