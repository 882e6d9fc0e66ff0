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


def test_without_a_model_the_wishes_alone_are_held_against_the_host(plan):
    planned = plan(memory_bytes=2**32, cpus=2, limits={"body": "4M"})
    assert (planned["plan"], planned["task"], planned["estimated"]) == ({}, "auto", True)
    refused = plan(memory_bytes=2**32, cpus=2, limits={"body": "1G"})
    assert refused["code"] == "insufficient_memory"
    assert refused["msg"].startswith("limits.body is 1,024 MiB")
    assert plan(memory_bytes=2**32, cpus=2, resources={"memory": "8G"})["failed"]


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


def test_task_and_engine_follow_from_the_files(plan, model):
    planned = plan(snapshot=str(model))
    assert (planned["task"], planned["engine"]) == ("embedding", "transformers")
    heads = '{"architectures": ["BertForTokenClassification"], "hidden_size": 2}'
    (model / "config.json").write_text(heads)
    assert plan(snapshot=str(model))["task"] == "token_classification"
    refused = plan(snapshot=str(model), task="chat")
    assert refused["code"] == "task_not_offered" and "offers token_classification" in refused["msg"]


def test_a_lock_is_enough_to_refuse_a_task(plan, lock):
    lock["model"] = {"architectures": ["BertModel"], "weights_format": "safetensors"}
    assert plan(lock=lock, task="token_classification")["code"] == "task_not_offered"
    assert plan(lock=lock)["task"] == "embedding"


def test_a_chosen_gguf_of_a_lock_is_planned_with_its_own_size(plan, lock):
    lock["files"] += [
        {"path": f"q{bits}.gguf", "size": bits * 1000, "sha256": "0" * 64} for bits in (4, 8)
    ]
    lock["model"] = {"weights_format": "safetensors", "weights_bytes": 40, "parameters": 10}
    planned = plan(lock=lock, engine="llama_cpp", file="q4.gguf")
    assert (planned["task"], planned["engine"]) == ("chat", "llama_cpp")
    assert planned["plan"]["weights_bytes"]["value"] == 4000
    assert "name one of them" in plan(lock=lock, engine="llama_cpp")["msg"]


def test_an_upstream_needs_no_model(plan):
    planned = plan(engine="upstream", parallel="3", context="2048", limits={"waiting": "0"})
    values = {key: item["value"] for key, item in planned["plan"].items()}
    assert (planned["task"], planned["engine"]) == ("chat", "upstream")
    assert (values["parallel"], values["max_tokens"], values["waiting"]) == (3, 2048, 0)
    assert plan(engine="upstream", task="rerank")["code"] == "invalid_option"


def test_places_must_be_a_number(plan, model):
    assert plan(snapshot=str(model), parallel="many")["msg"].startswith("parallel is 'many'")
