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

The sum gets a margin of 25 %, so that it stays below MemoryHigh, which is 90 % of MemoryMax. In a
control group all-MiniLM-L6-v2 reached 629 MiB at full batches, without HTTP, of 1,408 planned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Union

from ._errors import ModelError
from ._host import Host

MIB = 1024 * 1024
DTYPE_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
RUNTIME_BYTES = 512 * MIB
MARGIN = 1.25
HIGH_SHARE = 0.9
STEP_BYTES = 64 * MIB
# What stays for the system, Nginx and the page cache.
RESERVE_BYTES, RESERVE_SHARE = 256 * MIB, 0.1
# Floating point operations per second and thread that a modest host reaches in float32; 42 to 80
# thousand million were measured on one core with AVX-512, and 7 beside busy neighbours. A timeout
# is as patient as those demand.
THREAD_FLOPS, PATIENCE = 25e9, 3
BATCH_TOKENS, BATCH_SECONDS = 8192, 10
QUEUE_BATCHES, QUEUE_SECONDS = 8, 300
INPUTS = 256
TIMEOUT_SECONDS = (30, 600)
# Importing torch and transformers took 5 s on an idle host and 60 s on a loaded one; a slow disk
# or a network volume reads 20 MB/s.
START_SECONDS, READ_BYTES_PER_SECOND = 120, 20_000_000
# English has about 4 characters in a token, JSON may write each as \uXXXX; 8 for the rest.
BYTES_PER_TOKEN = 4 * 6 + 8
# The server's default for requests in work at once.
REQUESTS_IN_FLIGHT = 56
SERVER_TASKS, CPU_TASKS = 128, 8
DEFAULT_MAX_TOKENS = 512
# Their positions begin behind the padding's: max_position_embeddings - pad_token_id - 1 are usable
# (transformers, create_position_ids_from_input_ids of these models).
_OFFSET_POSITIONS = {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer"}
# The shape of BERT-large, taken where a model does not state its own.
_SHAPE = {"hidden_size": 1024, "num_hidden_layers": 24, "vocab_size": 0}

Plan = dict[str, dict[str, Union[int, str]]]


@dataclass(frozen=True)
class Wishes:
    """What the user set; None: the plan decides. Sizes in bytes, ``timeout`` in seconds."""

    memory: int | None = None
    cpus: float | None = None
    body: int | None = None
    timeout: int | None = None
    precision: str = "auto"


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


def make_plan(model: Mapping[str, Any], host: Host, wishes: Wishes) -> Plan:
    """Return the plan, each entry ``{value, reason}``; see RETURN of the module model_plan.

    Raises ``ModelError``: insufficient_memory when the model does not fit, invalid_option when
    more CPUs are wished than there are.
    """
    return _Planner(model, host, wishes).plan()


class _Planner:
    """One run of the planner; each method decides one thing and notes why."""

    def __init__(self, model: Mapping[str, Any], host: Host, wishes: Wishes) -> None:
        self.model, self.host, self.wishes = model, host, wishes
        self._plan: Plan = {}
        self.hidden, self.layers, self.vocabulary = (
            self._stated(key, default) for key, default in _SHAPE.items()
        )
        self.intermediate = self._stated("intermediate_size", 4 * self.hidden)

    def plan(self) -> Plan:
        """Decide in the order in which the numbers need each other."""
        self.dtype = self._decide_dtype()
        self.weights = self._decide_weights()
        self.threads = self._decide_threads()
        self.max_tokens = self._decide_max_tokens()
        tokens_per_second = self._tokens_per_second()
        batch = self._wished_batch(tokens_per_second)
        batch = self._decide_memory(batch)
        self._decide_load()
        self._decide_requests(batch, tokens_per_second)
        return self._plan

    def _stated(self, key: str, default: int = 0) -> int:
        """Return a number that the model states, which in a lock may have been written by hand."""
        value = self.model.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
            raise ModelError(
                f"The model's {key} is {value!r}, which is no number; make the lock again.",
                "invalid_lock",
            )
        return int(value)

    def _note(self, key: str, value: int | str, reason: str) -> None:
        self._plan[key] = {"value": value, "reason": reason}

    def _decide_dtype(self) -> str:
        if self.wishes.precision != "auto":
            dtype = self.wishes.precision
            self._note("dtype", dtype, "The declaration sets it as engine.precision.")
        else:
            dtype = "float32"
            self._note("dtype", dtype, "Every CPU computes float32 at full accuracy.")
        return dtype

    def _decide_weights(self) -> int:
        stored = self._stated("weights_bytes")
        width = DTYPE_BYTES[self.dtype]
        parameters = self._stated("parameters")
        if parameters:
            weights = parameters * width
            self._note("parameters", parameters, "The headers of the safetensors files state it.")
            reason = f"{parameters:,} parameters take {width} bytes each as {self.dtype}."
        else:
            if self.model.get("weights_format") == "gguf":
                stored_width, source = 0.5, "a GGUF file that may hold 4 bits a weight"
            else:
                known = self.model.get("weights_dtype", self.model.get("torch_dtype"))
                stored_width = DTYPE_BYTES.get(str(known), 2)
                shown = known if known in DTYPE_BYTES else "an unknown dtype, as 16 bits"
                source = f"files in {shown}"
            parameters = round(stored / stored_width)
            weights = parameters * width
            self._note("parameters", parameters, f"Reckoned from {stored:,} bytes of {source}.")
            reason = f"{stored:,} bytes of {source} become {self.dtype} in memory."
        self._note("weights_bytes", weights, reason)
        return weights

    def _decide_threads(self) -> int:
        wished = self.wishes.cpus
        if wished is not None and wished > self.host.cpus:
            raise ModelError(
                f"resources.cpus is {wished:g}, but the host has {self.host.cpus}; "
                "lower it, or set it to auto.",
                "invalid_option",
            )
        threads = max(1, int(self.host.cpus if wished is None else wished))
        source = f"the host has {self.host.cpus}"
        if wished is not None:
            source = f"resources.cpus is {wished:g}"
        self._note("threads", threads, f"One compute thread for each whole CPU: {source}.")
        tasks = SERVER_TASKS + CPU_TASKS * self.host.cpus
        reason = (
            f"{SERVER_TASKS} for the server, {CPU_TASKS} per CPU for the pools of the libraries."
        )
        self._note("tasks_max", tasks, reason)
        return threads

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
        total = self.host.memory_bytes
        offered = total - max(RESERVE_BYTES, int(total * RESERVE_SHARE))
        wished = self.wishes.memory
        if wished is not None and wished > total:
            raise ModelError(
                f"resources.memory is {_mib(wished)}, but the host has {_mib(total)}; "
                "lower it, or set it to auto.",
                "insufficient_memory",
            )
        allowed = offered if wished is None else wished
        why = f"so that one takes at most {BATCH_SECONDS} s, and never below max_tokens"
        while self._needed(batch) > allowed and batch > self.max_tokens:
            batch = max(self.max_tokens, batch // 2)
            why = "halved until the activations fit in the memory"
        needed = self._needed(batch)
        if needed > allowed:
            raise self._refusal(batch, allowed)
        self._note("max_batch_tokens", batch, f"The tokens of one batch, {why}.")
        memory = needed if wished is None else wished
        parts = f"({self._parts(batch)}) + {MARGIN - 1:.0%}"
        reason = f"{parts}."
        if wished is not None:
            reason = f"resources.memory sets it; {_mib(needed)} is needed: {parts}."
        self._note("memory_max_bytes", memory, reason)
        self._note(
            "memory_high_bytes",
            int(memory * HIGH_SHARE),
            "90 % of memory_max_bytes: the kernel slows the service down before it kills it.",
        )
        return batch

    def _activations(self, batch: int) -> int:
        width = DTYPE_BYTES[self.dtype]
        alive = 1.5 * batch * (6 * self.hidden + 2 * self.intermediate) * width
        return int(alive) + batch * self.max_tokens * width

    def _needed(self, batch: int) -> int:
        """Return the bytes that MemoryMax must allow, in whole steps."""
        summed = self.weights + RUNTIME_BYTES + self._activations(batch) + self._in_flight()
        return math.ceil(summed * MARGIN / STEP_BYTES) * STEP_BYTES

    def _in_flight(self) -> int:
        """Return the bytes of requests: each is held as received and as text."""
        return 2 * REQUESTS_IN_FLIGHT * (self.wishes.body or 2 * MIB)

    def _parts(self, batch: int) -> str:
        return (
            f"weights {_mib(self.weights)} + Python and torch {_mib(RUNTIME_BYTES)} + "
            f"a batch of {batch} tokens {_mib(self._activations(batch))} + "
            f"requests {_mib(self._in_flight())}"
        )

    def _refusal(self, batch: int, allowed: int) -> ModelError:
        if self.wishes.memory is not None:
            limit, remedy = f"resources.memory allows {_mib(allowed)}", "raise it or set it to auto"
        else:
            limit = f"the host offers {_mib(allowed)} of its {_mib(self.host.memory_bytes)}"
            remedy = "take a host with more memory"
        halved = self._needed(batch) - MARGIN * self.weights / 2 <= allowed
        smaller = ", set engine.precision to bfloat16" if self.dtype == "float32" and halved else ""
        return ModelError(
            f"The model needs {_mib(self._needed(batch))} of memory ({self._parts(batch)}, with a "
            f"margin of {MARGIN - 1:.0%}), but {limit}: {remedy}{smaller}, or choose a smaller "
            "model.",
            "insufficient_memory",
            needed_bytes=self._needed(batch),
            allowed_bytes=allowed,
        )

    def _decide_load(self) -> None:
        read = self._stated("weights_bytes") / READ_BYTES_PER_SECOND
        self._note(
            "load_timeout_seconds",
            _tens(START_SECONDS + read),
            f"{START_SECONDS} s to import the libraries, and the weights at 20 MB/s, a slow disk.",
        )

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
        if self.wishes.timeout is not None:
            reason = "The declaration sets it as limits.timeout."
            self._note("request_timeout_seconds", self.wishes.timeout, reason)
        else:
            low, high = TIMEOUT_SECONDS
            work = (queue + batch) / tokens_per_second
            seconds = min(high, max(low, _tens(PATIENCE * work)))
            reason = (
                f"{PATIENCE} times a full queue and the running batch at {tokens_per_second:,.0f} "
                f"tokens/s, {low} to {high} s."
            )
            self._note("request_timeout_seconds", seconds, reason)
        if self.wishes.body is not None:
            self._note("body_bytes", self.wishes.body, "The declaration sets it as limits.body.")
        else:
            body = math.ceil(inputs * self.max_tokens * BYTES_PER_TOKEN / MIB) * MIB
            reason = f"{inputs} inputs of {self.max_tokens} tokens of {BYTES_PER_TOKEN} bytes."
            self._note("body_bytes", body, reason)


def _tens(seconds: float) -> int:
    return math.ceil(seconds / 10) * 10


def _mib(size: int) -> str:
    return f"{math.ceil(size / MIB):,} MiB"
