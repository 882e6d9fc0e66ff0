# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks and engines follow from a model's files; what it cannot do is refused with a remedy."""

from __future__ import annotations

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._model_task import (
    choose_engine,
    choose_task,
    offered_tasks,
    weights_for,
)

GTE = {"architectures": ["BertModel"], "weights_format": "safetensors"}
GGUF = {"weights_format": "gguf", "model_type": "llama"}


def model(name, **values):
    return {"architectures": [name], "weights_format": "safetensors", **values}


@pytest.mark.parametrize(
    ("described", "paths", "tasks"),
    [
        (GTE, (), ("embedding",)),
        (model("RobertaForMaskedLM"), (), ("embedding",)),
        (model("BertForPreTraining"), (), ("embedding",)),
        (model("XLMRobertaForSequenceClassification", num_labels=1), (), ("rerank",)),
        (model("BertForSequenceClassification", num_labels=3), (), ("classification",)),
        (model("BertForSequenceClassification"), (), ("classification", "rerank")),
        (model("BertForTokenClassification"), (), ("token_classification",)),
        (model("BertForQuestionAnswering"), (), ("question_answering",)),
        (model("Qwen2ForCausalLM"), (), ("chat",)),
        (model("GPT2LMHeadModel"), (), ("chat",)),
        (model("Qwen3ForCausalLM"), ("modules.json",), ("embedding",)),
        (model("Qwen2ForCausalLM", published_task="sentence-embedding"), (), ("embedding",)),
        (model("BertForTokenClassification"), ("modules.json",), ("token_classification",)),
        (model("T5ForConditionalGeneration"), (), ()),
        ({"weights_format": "safetensors"}, (), ("embedding",)),
        (GGUF, (), ("chat",)),
        ({**GGUF, "model_type": "nomic-bert"}, (), ()),
    ],
)
def test_what_a_model_offers(described, paths, tasks):
    assert offered_tasks(described, paths) == tasks


def test_gte_cannot_do_ner():
    with pytest.raises(ModelError) as caught:
        choose_task("token_classification", GTE, ())
    assert caught.value.code == "task_not_offered"
    assert caught.value.details["offered"] == ["embedding"]
    assert caught.value.message == (
        "The model is a BertModel without a head for token_classification; it offers embedding. "
        "Declare task: embedding, or choose a model trained for it."
    )


def test_a_model_for_nothing_that_is_served_is_refused():
    with pytest.raises(ModelError, match="offers none that is served here. Choose a model"):
        choose_task("auto", model("T5ForConditionalGeneration"), ())


def test_the_declared_task_is_taken_where_it_is_offered():
    described = model("BertForSequenceClassification")
    assert choose_task("rerank", described, ()) == "rerank"
    assert choose_task("auto", described, ()) == "classification"


def test_a_lock_that_says_nothing_is_no_reason_to_refuse():
    assert choose_task("rerank", {"weights_format": "safetensors"}, ()) == "rerank"


def test_the_engine_follows_the_weights():
    assert choose_engine("auto", "chat", GGUF) == "llama_cpp"
    assert choose_engine("auto", "embedding", GTE) == "transformers"
    with pytest.raises(ModelError, match="engine.name is llama_cpp, but") as caught:
        choose_engine("llama_cpp", "embedding", GTE)
    assert caught.value.code == "invalid_option"


BOTH = {"config.json": 1, "model.safetensors": 9, "q4.gguf": 4, "q8.gguf": 8}
SPLIT = {"big-00001-of-00002.gguf": 3, "big-00002-of-00002.gguf": 2, "small.gguf": 1}


@pytest.mark.parametrize(
    ("engine", "file", "sizes", "kept"),
    [
        ("auto", "", BOTH, set(BOTH)),
        ("transformers", "", BOTH, set(BOTH)),
        ("llama_cpp", "q4.gguf", BOTH, {"config.json", "q4.gguf"}),
        ("auto", "q8.gguf", BOTH, {"config.json", "q8.gguf"}),
        ("auto", "big-00001-of-00002.gguf", SPLIT, set(SPLIT) - {"small.gguf"}),
    ],
)
def test_only_the_weights_that_are_loaded_count(engine, file, sizes, kept):
    assert set(weights_for(engine, file, sizes)) == kept


@pytest.mark.parametrize(
    ("engine", "file", "sizes", "said"),
    [
        ("llama_cpp", "", BOTH, "GGUF files are q4.gguf, q8.gguf; name one"),
        ("auto", "other.gguf", BOTH, "engine.file is 'other.gguf'"),
        ("auto", "", SPLIT, "big-00001-of-00002.gguf, small.gguf; name one"),
        ("auto", "big-00002-of-00002.gguf", SPLIT, "name one"),
        ("transformers", "q4.gguf", BOTH, "leave it out"),
        ("auto", "q4.gguf", {"model.safetensors": 1}, "leave it out"),
    ],
)
def test_a_choice_of_weights_that_cannot_be_is_refused(engine, file, sizes, said):
    with pytest.raises(ModelError, match=said) as caught:
        weights_for(engine, file, sizes)
    assert caught.value.code == "invalid_option"
