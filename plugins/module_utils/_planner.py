# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: from a model's metadata and a host's facts to the numbers of a service.

Formulas and where they come from:

* weights in memory = parameters x bytes of the dtype;
* work of one token = 2 x (parameters - vocabulary x hidden size) floating point operations, since
  an embedding is looked up and not multiplied; without a known number of parameters 12 x layers x
  hidden size^2 stands for the difference (Kaplan et al. 2020, arXiv:2001.08361, section 2.1);
* activations = 1.5 x batch tokens x (6 x hidden + 2 x intermediate size) x bytes of the dtype, plus
  the attention mask, batch tokens x max tokens x bytes. Inference frees each layer before the next:
  alive are a block's residual, Q, K, V, attention output and both sides of its feed-forward part;
  1.5 is the allocator's share. Measured with torch 2.13 (SDPA attention, 8,192 tokens, growth of
  the peak): 384 hidden 207 MiB against 259 planned, 768: 514 / 502, 1,024: 393 / 664;
* Python, torch 2.13, transformers 5.23, Flask, MKL's kernels: 400 MiB measured, 512 planned.

In a control group all-MiniLM-L6-v2 reached 629 MiB at full batches, without HTTP, of 1,408 planned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ._errors import ModelError
from ._host import Host
from ._plan import (
    BYTES_PER_TOKEN,
    DTYPE_BYTES,
    MARGIN,
    MIB,
    PATIENCE,
    THREAD_FLOPS,
    Part,
    Plan,
    Planner,
    Wishes,
    check_wishes,
    in_steps,
    tens,
)
from ._planner_chat import ChatPlanner, GgufPlanner, UpstreamPlanner

RUNTIME_BYTES = 512 * MIB
BATCH_TOKENS, BATCH_SECONDS = 8192, 10
QUEUE_BATCHES, QUEUE_SECONDS = 8, 300
INPUTS = 256
TIMEOUT_SECONDS = (30, 600)
# A body is 2 MiB unless it is declared; it must be known before the batch is.
BODY_BYTES = 2 * MIB
DEFAULT_MAX_TOKENS = 512
# Their positions begin behind the padding's: max_position_embeddings - pad_token_id - 1 are usable
# (transformers, create_position_ids_from_input_ids of these models).
_OFFSET_POSITIONS = {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer"}
# The shape of BERT-large, taken where a model does not state its own.
_SHAPE = {"hidden_size": 1024, "num_hidden_layers": 24, "vocab_size": 0}


def check_weights(model: Mapping[str, Any]) -> None:
    """Refuse weights that no engine here loads: raise ``ModelError``.

    ``model`` is what ``_metadata.describe`` returns. Codes: unsafe_weights (only as pickle),
    model_incomplete (none at all).
    """
    found = model.get("weights_format", "none")
    if found == "pickle":
        raise ModelError(
            "The model's weights exist only as pickle, which runs code when it is loaded. Choose a "
            "revision with safetensors, or convert them on a machine that may run that code.",
            "unsafe_weights",
        )
    if found == "none":
        raise ModelError(
            "The model has no weights as safetensors or GGUF. Check include and exclude, or choose "
            "another revision.",
            "model_incomplete",
        )


def make_plan(
    model: Mapping[str, Any],
    host: Host,
    wishes: Wishes,
    task: str = "embedding",
    engine: str = "transformers",
) -> Plan:
    """Return the plan, each entry ``{value, reason}``; see RETURN of the module model_plan.

    Raises ``ModelError``: insufficient_memory when the model does not fit, invalid_option when
    more CPUs are wished than there are.
    """
    check_wishes(host, wishes)
    if engine == "upstream":
        return UpstreamPlanner(model, host, wishes).plan()
    if engine == "llama_cpp":
        return GgufPlanner(model, host, wishes).plan()
    if task == "chat":
        return ChatPlanner(model, host, wishes).plan()
    return _BatchPlanner(model, host, wishes).plan()


class _BatchPlanner(Planner):
    """The plan of a model that computes batches of texts."""

    def __init__(self, model: Mapping[str, Any], host: Host, wishes: Wishes) -> None:
        super().__init__(model, host, wishes)
        self.hidden, self.layers, self.vocabulary = (
            self._stated(key, default) for key, default in _SHAPE.items()
        )
        self.intermediate = self._stated("intermediate_size", 4 * self.hidden)

    def plan(self) -> Plan:
        """Decide in the order in which the numbers need each other."""
        self.dtype = self._decide_dtype()
        self.weights = self._decide_weights(self.dtype)
        self.threads = self._decide_threads()
        self.max_tokens = self._decide_max_tokens()
        tokens_per_second = self._tokens_per_second()
        batch = self._wished_batch(tokens_per_second)
        batch = self._decide_memory(batch)
        self._decide_load()
        self._decide_requests(batch, tokens_per_second)
        return self._plan

    def _decide_max_tokens(self) -> int:
        limits = {
            "max_seq_length of sentence_bert_config.json": self._stated("max_seq_length"),
            "model_max_length of tokenizer_config.json": self._stated("model_max_length"),
            "max_position_embeddings of config.json": self._usable_positions(),
        }
        known = {name: limit for name, limit in limits.items() if limit}
        if not known:
            self._note("max_tokens", DEFAULT_MAX_TOKENS, "The model states no limit of its own.")
            return DEFAULT_MAX_TOKENS
        name = min(known, key=lambda limit: known[limit])
        self._note("max_tokens", known[name], f"The smallest limit that the model states: {name}.")
        return known[name]

    def _usable_positions(self) -> int:
        positions = self._stated("max_position_embeddings")
        if self.model.get("model_type") in _OFFSET_POSITIONS:
            return max(0, positions - self._stated("pad_token_id", 1) - 1)
        return positions

    def _tokens_per_second(self) -> float:
        parameters = int(self._plan["parameters"]["value"])
        computed = parameters - self.vocabulary * self.hidden
        if computed <= 0:
            computed = 12 * self.layers * self.hidden**2
        return self.threads * THREAD_FLOPS / (2 * computed)

    def _wished_batch(self, tokens_per_second: float) -> int:
        quick = 1 << int(math.log2(max(1.0, tokens_per_second * BATCH_SECONDS)))
        return max(self.max_tokens, min(BATCH_TOKENS, quick))

    def _decide_memory(self, batch: int) -> int:
        """Note the limits; return the batch, halved until it fits, in tokens."""
        allowed = self._allowed()
        why = f"so that one takes at most {BATCH_SECONDS} s, and never below max_tokens"
        while in_steps(self._parts(batch)) > allowed and batch > self.max_tokens:
            batch = max(self.max_tokens, batch // 2)
            why = "halved until the activations fit in the memory"
        parts = self._parts(batch)
        if in_steps(parts) > allowed:
            helps = in_steps(parts) - MARGIN * self.weights / 2 <= allowed
            smaller = self.dtype == "float32" and helps
            raise self._refusal(
                parts, allowed, ", set engine.precision to bfloat16" if smaller else ""
            )
        self._note("max_batch_tokens", batch, f"The tokens of one batch, {why}.")
        self._note_memory(parts)
        return batch

    def _activations(self, batch: int) -> int:
        width = DTYPE_BYTES[self.dtype]
        alive = 1.5 * batch * (6 * self.hidden + 2 * self.intermediate) * width
        return int(alive) + batch * self.max_tokens * width

    def _parts(self, batch: int) -> list[Part]:
        return [
            ("weights", self.weights),
            ("Python and torch", RUNTIME_BYTES),
            (f"a batch of {batch} tokens", self._activations(batch)),
            self._requests(BODY_BYTES),
        ]

    def _decide_requests(self, batch: int, tokens_per_second: float) -> None:
        wished = max(QUEUE_BATCHES * batch, INPUTS * self.max_tokens)
        queue = max(batch, min(wished, int(tokens_per_second * QUEUE_SECONDS)))
        self._note(
            "max_queue_tokens",
            queue,
            f"{QUEUE_BATCHES} batches or one full request, but at most {QUEUE_SECONDS} s of work.",
        )
        inputs = max(1, min(INPUTS, queue // self.max_tokens))
        self._note(
            "inputs_per_request",
            inputs,
            f"A request of the longest texts must fit in the queue, {INPUTS} at most.",
        )
        low, high = TIMEOUT_SECONDS
        work = (queue + batch) / tokens_per_second
        self._decide_timeout(
            min(high, max(low, tens(PATIENCE * work))),
            f"{PATIENCE} times a full queue and the running batch at {tokens_per_second:,.0f} "
            f"tokens/s, {low} to {high} s.",
        )
        self._decide_body(
            math.ceil(inputs * self.max_tokens * BYTES_PER_TOKEN / MIB) * MIB,
            f"{inputs} inputs of {self.max_tokens} tokens of {BYTES_PER_TOKEN} bytes.",
        )
