# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: numbers that follow from model and host, and refusals that say what to do."""

from __future__ import annotations

import re

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._host import Host
from ansible_collections.modelops.serving.plugins.module_utils._plan import (
    MIB,
    Wishes,
    check_wishes,
)
from ansible_collections.modelops.serving.plugins.module_utils._planner import (
    check_weights,
    make_plan,
)
from hypothesis import given
from hypothesis import strategies as st

GIB = 1024 * MIB
MINILM = {
    "model_type": "bert",
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "intermediate_size": 1536,
    "vocab_size": 30522,
    "max_position_embeddings": 512,
    "max_seq_length": 256,
    "model_max_length": 512,
    "weights_format": "safetensors",
    "weights_bytes": 90868376,
    "weights_dtype": "float32",
    "parameters": 22713216,
}
BERT_LARGE = {
    "model_type": "bert",
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "intermediate_size": 4096,
    "vocab_size": 21128,
    "max_position_embeddings": 512,
    "weights_format": "safetensors",
    "weights_bytes": 650_000_000,
    "weights_dtype": "float16",
    "parameters": 325_000_000,
}
HOST = Host(memory_bytes=4 * GIB, cpus=2)
KEYS = {
    "weights_bytes",
    "parameters",
    "dtype",
    "threads",
    "memory_max_bytes",
    "memory_high_bytes",
    "tasks_max",
    "load_timeout_seconds",
    "request_timeout_seconds",
    "watchdog_seconds",
    "header_timeout_seconds",
    "body_timeout_seconds",
    "body_bytes",
    "max_tokens",
    "max_batch_tokens",
    "max_queue_tokens",
    "inputs_per_request",
}


def values(model=None, host=HOST, **wishes):
    """Return the plan's values alone, of MiniLM if no other model is given."""
    plan = make_plan(model or MINILM, host, Wishes(**wishes))
    return {key: item["value"] for key, item in plan.items()}


def test_a_small_model_on_a_small_host():
    assert values() == {
        "weights_bytes": 4 * 22713216,
        "parameters": 22713216,
        "dtype": "float32",
        "threads": 2,
        "memory_max_bytes": 1408 * MIB,
        "memory_high_bytes": int(0.9 * 1408 * MIB),
        "tasks_max": 144,
        "load_timeout_seconds": 130,
        "request_timeout_seconds": 100,
        "watchdog_seconds": 260,
        "header_timeout_seconds": 10,
        "body_timeout_seconds": 10,
        "body_bytes": 2 * MIB,
        "max_tokens": 256,
        "max_batch_tokens": 8192,
        "max_queue_tokens": 65536,
        "inputs_per_request": 256,
    }


def test_a_large_model_gets_smaller_batches_shorter_queues_and_more_time():
    small, large = values(), values(BERT_LARGE)
    assert large["weights_bytes"] == 4 * BERT_LARGE["parameters"]
    assert large["max_batch_tokens"] == 512
    assert large["max_queue_tokens"] < small["max_queue_tokens"]
    assert large["inputs_per_request"] == large["max_queue_tokens"] // 512
    assert large["request_timeout_seconds"] > 300


def test_every_number_has_a_reason_of_one_sentence():
    plan = make_plan(MINILM, HOST, Wishes())
    assert set(plan) == KEYS
    for key, item in plan.items():
        assert item["reason"].endswith("."), key
        assert len(item["reason"]) < 200, key


@pytest.mark.parametrize(
    ("change", "tokens", "named"),
    [
        ({}, 256, "max_seq_length"),
        ({"max_seq_length": None}, 512, "model_max_length"),
        ({"max_seq_length": None, "max_position_embeddings": 128}, 128, "max_position"),
        (
            {
                "model_type": "xlm-roberta",
                "pad_token_id": 1,
                "max_position_embeddings": 514,
                "max_seq_length": 600,
                "model_max_length": None,
            },
            512,
            "max_position",
        ),
        (
            {"max_seq_length": None, "model_max_length": None, "max_position_embeddings": None},
            512,
            "states no limit",
        ),
    ],
)
def test_the_smallest_limit_of_tokens_counts(change, tokens, named):
    found = make_plan({**MINILM, **change}, HOST, Wishes())["max_tokens"]
    assert found["value"] == tokens and named in found["reason"]


def test_precision_halves_the_weights():
    assert values(BERT_LARGE, precision="bfloat16")["weights_bytes"] == 2 * BERT_LARGE["parameters"]


@pytest.mark.parametrize(
    ("stored", "weights"),
    [
        ({"weights_dtype": "float32"}, 4000),
        ({"torch_dtype": "float16"}, 8000),
        ({}, 8000),
    ],
)
def test_weights_without_a_known_number_of_parameters(stored, weights):
    model = {"weights_format": "safetensors", "weights_bytes": 4000, **stored}
    assert values(model)["weights_bytes"] == weights


def test_wishes_are_taken_as_they_are():
    plan = values(memory=3 * GIB, cpus=1.5, body=5 * MIB, timeout=7)
    assert plan["memory_max_bytes"] == 3 * GIB
    assert plan["memory_high_bytes"] == int(0.9 * 3 * GIB)
    assert (plan["threads"], plan["body_bytes"], plan["request_timeout_seconds"]) == (1, 5 * MIB, 7)


def test_a_slow_client_gets_time_but_never_more_than_its_request():
    keys = ("header_timeout_seconds", "body_timeout_seconds")
    assert [values()[key] for key in keys] == [10, 10]
    assert [values(timeout=7)[key] for key in keys] == [7, 7]


def test_a_batch_shrinks_before_a_model_is_refused():
    wide = values(host=Host(1600 * MIB, 2))
    assert wide["max_batch_tokens"] < 8192
    assert wide["memory_max_bytes"] <= 1600 * MIB - 256 * MIB


@pytest.mark.parametrize(
    ("model", "host", "wishes", "said"),
    [
        (
            MINILM,
            Host(GIB, 1),
            {},
            r"needs 1,\d+ MiB .* offers 768 MiB of its 1,024 MiB: take a host",
        ),
        (
            MINILM,
            HOST,
            {"memory": 512 * MIB},
            "resources.memory allows 512 MiB: raise it or set it",
        ),
        (MINILM, HOST, {"memory": 5 * GIB}, "memory is 5,120 MiB, but the host has 4,096 MiB"),
        (BERT_LARGE, Host(2500 * MIB, 2), {}, "set engine.precision to bfloat16"),
    ],
)
def test_what_does_not_fit_is_refused_with_numbers_and_a_remedy(model, host, wishes, said):
    with pytest.raises(ModelError, match=said) as caught:
        values(model, host, **wishes)
    assert caught.value.code == "insufficient_memory"


def test_the_remedy_of_a_refusal_helps():
    host = Host(2500 * MIB, 2)
    assert values(BERT_LARGE, host, precision="bfloat16")["dtype"] == "bfloat16"
    with pytest.raises(ModelError) as caught:
        values(MINILM, Host(GIB, 1))
    assert "bfloat16" not in caught.value.message


def test_a_lock_written_by_hand_is_refused_where_it_makes_no_sense():
    with pytest.raises(ModelError, match="hidden_size is 'wide', which is no number") as caught:
        values({**MINILM, "hidden_size": "wide"})
    assert caught.value.code == "invalid_lock"


def test_more_cpus_than_there_are_are_refused():
    with pytest.raises(ModelError, match="resources.cpus is 8, but the host has 2") as caught:
        values(cpus=8)
    assert caught.value.code == "invalid_option"


@pytest.mark.parametrize(
    ("wishes", "limit", "most"),
    [
        ({}, "the host offers 3,687 MiB", 26),
        ({"memory": 1408 * MIB}, "resources.memory is 1,408 MiB", 10),
    ],
)
def test_a_body_larger_than_memory_is_refused_and_the_remedy_helps(wishes, limit, most):
    with pytest.raises(ModelError, match=f"limits.body is 64 MiB, .* {limit}: lower") as caught:
        values(body=64 * MIB, **wishes)
    assert caught.value.code == "insufficient_memory"
    said = int(re.search(r"at most ([\d,]+)K", caught.value.message)[1].replace(",", ""))
    assert said * 1024 // MIB == most
    check_wishes(HOST, Wishes(body=said * 1024, **wishes))
    with pytest.raises(ModelError):
        check_wishes(HOST, Wishes(body=(said + 1) * 1024, **wishes))


@pytest.mark.parametrize(
    ("kind", "code"), [("pickle", "unsafe_weights"), ("none", "model_incomplete")]
)
def test_weights_that_cannot_be_loaded_are_refused(kind, code):
    with pytest.raises(ModelError) as caught:
        check_weights({"weights_format": kind})
    assert caught.value.code == code
    check_weights({"weights_format": "safetensors"})


@given(
    memory=st.integers(min_value=256 * MIB, max_value=512 * GIB),
    cpus=st.integers(min_value=1, max_value=256),
    parameters=st.integers(min_value=1_000_000, max_value=10_000_000_000),
    hidden=st.integers(min_value=32, max_value=8192),
    tokens=st.integers(min_value=16, max_value=32768),
)
def test_a_plan_keeps_to_its_host_and_serves_the_longest_text(
    memory, cpus, parameters, hidden, tokens
):
    model = {"hidden_size": hidden, "parameters": parameters, "max_position_embeddings": tokens}
    try:
        plan = values(model, Host(memory, cpus))
    except ModelError as error:
        assert error.code == "insufficient_memory"
        return
    assert plan["weights_bytes"] < plan["memory_high_bytes"] < plan["memory_max_bytes"] < memory
    assert plan["threads"] <= cpus
    assert tokens == plan["max_tokens"] <= plan["max_batch_tokens"] <= plan["max_queue_tokens"]
    assert 1 <= plan["inputs_per_request"] * tokens <= plan["max_queue_tokens"]
    assert 30 <= plan["request_timeout_seconds"] <= 600
