# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a chat: places and contexts that fit, and refusals where none does."""

from __future__ import annotations

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._host import Host
from ansible_collections.modelops.serving.plugins.module_utils._plan import MIB, Wishes
from ansible_collections.modelops.serving.plugins.module_utils._planner import make_plan

GIB = 1024 * MIB
SMOLLM2 = {
    "weights_format": "gguf",
    "weights_bytes": 98_362_432,
    "model_type": "llama",
    "max_position_embeddings": 8192,
    "hidden_size": 576,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "intermediate_size": 1536,
    "vocab_size": 49152,
}
QWEN = {
    "weights_format": "safetensors",
    "weights_bytes": 928_000_000,
    "parameters": 464_000_000,
    "weights_dtype": "bfloat16",
    "max_position_embeddings": 32768,
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "intermediate_size": 2816,
    "vocab_size": 151_936,
}
LARGE = Host(16 * GIB, 8)


def values(model, engine, host=LARGE, **wishes):
    plan = make_plan(model, host, Wishes(**wishes), "chat", engine)
    for key, item in plan.items():
        assert str(item["reason"]).endswith("."), key
        assert len(str(item["reason"])) < 200, key
    return {key: item["value"] for key, item in plan.items()}


def test_a_gguf_takes_its_file_and_its_keys_and_values():
    one = values(SMOLLM2, "llama_cpp", parallel=1)
    four = values(SMOLLM2, "llama_cpp", parallel=4)
    assert (one["weights_bytes"], one["max_tokens"]) == (98_362_432, 4096)
    assert one["parameters"] == pytest.approx(134_500_000, rel=0.01)
    # 2 x 30 layers x 3 heads x 64 x 2 bytes x 4,096 tokens for each further place, with the margin.
    places = 1.25 * 3 * 2 * 30 * 3 * 64 * 2 * 4096
    assert four["memory_max_bytes"] - one["memory_max_bytes"] == pytest.approx(places, abs=64 * MIB)
    # What was measured with one and with four places.
    assert one["memory_high_bytes"] > 306 * MIB and four["memory_high_bytes"] > 577 * MIB


def test_the_context_is_the_models_when_that_is_smaller():
    small = {**SMOLLM2, "max_position_embeddings": 2048}
    assert values(small, "llama_cpp")["max_tokens"] == 2048
    assert values(SMOLLM2, "llama_cpp", context=8192)["max_tokens"] == 8192


def test_places_follow_the_threads():
    found = [values(SMOLLM2, "llama_cpp", Host(16 * GIB, cpus))["parallel"] for cpus in (1, 4, 64)]
    assert found == [1, 2, 4]


def test_places_go_before_context_and_both_before_a_refusal():
    roomy, tight = values(QWEN, "transformers"), values(QWEN, "transformers", Host(5 * GIB, 8))
    assert (roomy["parallel"], roomy["max_tokens"]) == (4, 4096)
    assert tight["parallel"] == 1 and 1024 <= tight["max_tokens"] <= 4096
    assert tight["memory_max_bytes"] <= 5 * GIB - 512 * MIB
    with pytest.raises(ModelError, match="keys and values") as caught:
        values(QWEN, "transformers", Host(2 * GIB, 8))
    assert caught.value.code == "insufficient_memory"


def test_wished_places_are_not_lowered():
    with pytest.raises(ModelError, match="resources.memory allows 512 MiB"):
        values(SMOLLM2, "llama_cpp", parallel=8, memory=512 * MIB)


def test_longer_answers_and_more_places_get_more_time():
    host = Host(16 * GIB, 4)
    quick = values(QWEN, "transformers", host, parallel=1, answer_tokens=64)
    slow = values(QWEN, "transformers", host, parallel=1, answer_tokens=1024)
    assert 60 <= quick["request_timeout_seconds"] < slow["request_timeout_seconds"] <= 900
    assert slow["watchdog_seconds"] == 60 + 2 * slow["request_timeout_seconds"]


def test_waiting_follows_the_places_unless_it_is_declared():
    assert values(SMOLLM2, "llama_cpp", parallel=3)["waiting"] == 12
    assert values(SMOLLM2, "llama_cpp", waiting=0)["waiting"] == 0


def test_a_body_holds_a_whole_prompt():
    assert values(SMOLLM2, "llama_cpp")["body_bytes"] == MIB
    assert values(QWEN, "llama_cpp", context=32768 * 2)["body_bytes"] == 2 * MIB


def test_an_upstream_takes_little():
    plan = values({}, "upstream", Host(2 * GIB, 1))
    assert plan["memory_max_bytes"] == 384 * MIB
    assert (plan["parallel"], plan["waiting"], plan["request_timeout_seconds"]) == (8, 32, 300)


def test_a_timeout_never_makes_a_watchdog_that_the_server_refuses():
    assert values({}, "upstream", timeout=3600)["watchdog_seconds"] == 7200
