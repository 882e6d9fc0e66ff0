# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a chat: places in which answers are generated, each with a context of its own.

Formulas and where they come from:

* keys and values of one place = 2 x layers x heads of keys and values x size of a head x bytes of a
  number x context (llama.cpp keeps 2 bytes a number, transformers the dtype);
* llama.cpp maps the file: its weights take the file's size. For a prompt it computes 512 tokens at
  once (n_ubatch): 512 x 4 bytes x (vocabulary + 6 x hidden + 2 x intermediate size);
* the server with llama.cpp, which imports no torch: 76 MiB measured after its imports, 192 planned.
  SmolLM2-135M-Instruct (94 MiB, 90 MiB of keys and values a place) reached 306 MiB with one place
  of 4,096 tokens and 577 MiB with four, of 768 and 1,088 planned;
* transformers computes a whole prompt at once; activations and runtime are those of a batch;
* a token of a prompt takes 2 x parameters operations; for each token of an answer all weights are
  read from memory, of which a modest host reads 5 GB/s. Places share both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ._host import Host
from ._plan import (
    BYTES_PER_TOKEN,
    DTYPE_BYTES,
    MIB,
    PATIENCE,
    THREAD_FLOPS,
    Part,
    Plan,
    Planner,
    Wishes,
    in_steps,
    tens,
)

CONTEXT_TOKENS, LEAST_CONTEXT_TOKENS = 4096, 1024
PLACES, PLACE_THREADS = 4, 2
# Waiting behind more than that many answers takes longer than a request may.
WAITING_PER_PLACE = 4
TIMEOUT_SECONDS = (60, 900)
MEMORY_BYTES_PER_SECOND = 5e9
SERVER_BYTES = 192 * MIB
TORCH_BYTES = 512 * MIB
MICRO_BATCH_TOKENS, KEY_BYTES, LOGIT_BYTES = 512, 2, 4
# Another server computes; a connection each is all that an answer takes here.
UPSTREAM_PLACES, UPSTREAM_SECONDS = 8, 300
# The shape of Llama-2-7B, taken where a model does not state its own.
_SHAPE = {
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "vocab_size": 32000,
}


class ChatPlanner(Planner):
    """The plan of a chat that transformers computes."""

    runtime: Part = ("Python and torch", TORCH_BYTES)

    def __init__(self, model: Mapping[str, Any], host: Host, wishes: Wishes) -> None:
        super().__init__(model, host, wishes)
        self.hidden, self.layers, self.heads, self.vocabulary = (
            self._stated(key, default) for key, default in _SHAPE.items()
        )
        self.intermediate = self._stated("intermediate_size", 4 * self.hidden)

    def plan(self) -> Plan:
        """Decide in the order in which the numbers need each other."""
        self.weights = self._weigh()
        self.threads = self._decide_threads()
        context, parallel = self._decide_memory()
        self._decide_load()
        self._decide_time(context, parallel)
        self._decide_body(
            _body(context),
            f"A prompt of {context} tokens of {BYTES_PER_TOKEN} bytes.",
        )
        return self._plan

    def _weigh(self) -> int:
        self.dtype = self._decide_dtype()
        weights = self._decide_weights(self.dtype)
        self.parameters = int(self._plan["parameters"]["value"])
        return weights

    def _decide_memory(self) -> tuple[int, int]:
        """Note limits, context and places, both as large as fit; return context and places."""
        allowed = self._allowed()
        context, why_context = self._wished_context()
        parallel, why_parallel = self._wished_places()
        while in_steps(self._parts(context, parallel)) > allowed:
            if parallel > 1 and self.wishes.parallel is None:
                parallel, why_parallel = parallel // 2, "As many as fit in the memory."
            elif context > LEAST_CONTEXT_TOKENS and self.wishes.context is None:
                context = max(LEAST_CONTEXT_TOKENS, context // 2)
                why_context = "Halved until keys and values fit in the memory."
            else:
                raise self._refusal(self._parts(context, parallel), allowed)
        self._note("max_tokens", context, why_context)
        self._note("parallel", parallel, why_parallel)
        self._note_memory(self._parts(context, parallel))
        return context, parallel

    def _wished_context(self) -> tuple[int, str]:
        stated = self._stated("max_position_embeddings")
        if self.wishes.context is not None:
            return self.wishes.context, "The declaration sets it as engine.context."
        if stated and stated <= CONTEXT_TOKENS:
            return stated, "All that the model was made for."
        return CONTEXT_TOKENS, f"{CONTEXT_TOKENS} for prompt and answer; engine.context sets more."

    def _wished_places(self) -> tuple[int, str]:
        if self.wishes.parallel is not None:
            return self.wishes.parallel, "The declaration sets it as engine.parallel."
        places = max(1, min(PLACES, self.threads // PLACE_THREADS))
        return places, f"One for {PLACE_THREADS} threads, {PLACES} at most."

    def _parts(self, context: int, parallel: int) -> list[Part]:
        return [
            ("weights", self.weights),
            self.runtime,
            (f"{parallel} x {context} tokens of keys and values", self._cache(context) * parallel),
            ("computing", self._computing(context, parallel)),
            self._requests(_body(context)),
        ]

    def _cache(self, context: int) -> int:
        """Return the bytes of one place's keys and values."""
        heads = self._stated("num_key_value_heads", self.heads)
        size = self._stated("head_dim", self.hidden // max(1, self.heads))
        return 2 * self.layers * heads * size * self._key_bytes() * context

    def _key_bytes(self) -> int:
        return DTYPE_BYTES[self.dtype]

    def _computing(self, context: int, parallel: int) -> int:
        alive = int(1.5 * context * (6 * self.hidden + 2 * self.intermediate))
        return parallel * DTYPE_BYTES[self.dtype] * (alive + self.vocabulary)

    def _decide_time(self, context: int, parallel: int) -> None:
        prompt = context * 2 * self.parameters / (self.threads * THREAD_FLOPS)
        answer = self.wishes.answer_tokens * self.weights / MEMORY_BYTES_PER_SECOND
        low, high = TIMEOUT_SECONDS
        self._decide_timeout(
            min(high, max(low, tens(PATIENCE * parallel * (prompt + answer)))),
            f"{PATIENCE} times {parallel} prompts of {context} and answers of "
            f"{self.wishes.answer_tokens} tokens at a modest rate, {low} to {high} s.",
        )
        self._decide_waiting(parallel)

    def _decide_waiting(self, parallel: int) -> None:
        waiting, reason = WAITING_PER_PLACE * parallel, f"{WAITING_PER_PLACE} for each place."
        if self.wishes.waiting is not None:
            waiting, reason = self.wishes.waiting, "The declaration sets it as limits.waiting."
        self._note("waiting", waiting, reason)


class GgufPlanner(ChatPlanner):
    """The plan of a chat that llama.cpp computes."""

    runtime = ("the server with llama.cpp", SERVER_BYTES)

    def _weigh(self) -> int:
        weights = self._stated("weights_bytes")
        # Attention with grouped keys and values, and a gated feed-forward part (Llama 2).
        heads = self._stated("num_key_value_heads", self.heads) / max(1, self.heads)
        block = (2 + 2 * heads) * self.hidden**2 + 3 * self.hidden * self.intermediate
        self.parameters = int(self.layers * block) + self.vocabulary * self.hidden
        self._note("parameters", self.parameters, "Reckoned from the shape that the file states.")
        self._note("dtype", "float32", "llama.cpp computes in the file's own quantisation.")
        self._note("weights_bytes", weights, "The file is mapped into memory as it is.")
        return weights

    def _key_bytes(self) -> int:
        return KEY_BYTES

    def _computing(self, context: int, parallel: int) -> int:
        width = self.vocabulary + 6 * self.hidden + 2 * self.intermediate
        return MICRO_BATCH_TOKENS * LOGIT_BYTES * width


class UpstreamPlanner(ChatPlanner):
    """The plan of a chat that another server computes."""

    runtime = ("the server", SERVER_BYTES)

    def _weigh(self) -> int:
        self._note("dtype", "float32", "Nothing is computed here.")
        return 0

    def _wished_context(self) -> tuple[int, str]:
        context = self.wishes.context or CONTEXT_TOKENS
        return context, "What a prompt is measured by; the other server has a limit of its own."

    def _wished_places(self) -> tuple[int, str]:
        places = self.wishes.parallel or UPSTREAM_PLACES
        return places, "Answers that the other server is asked for at once."

    def _parts(self, context: int, parallel: int) -> list[Part]:
        return [self.runtime, self._requests(_body(context))]

    def _decide_time(self, context: int, parallel: int) -> None:
        self._decide_timeout(UPSTREAM_SECONDS, "The other server's speed is not known here.")
        self._decide_waiting(parallel)


def _body(context: int) -> int:
    """Return the size of a body that holds a whole prompt, in bytes."""
    return math.ceil(context * BYTES_PER_TOKEN / MIB) * MIB
