# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plans of all engines have in common: wishes, limits of the host, refusals.

The sum of a plan's parts gets a margin of 25 %, so that it stays below MemoryHigh, which is 90 % of
MemoryMax.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

from ._errors import ModelError
from ._host import Host

MIB = 1024 * 1024
DTYPE_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
MARGIN = 1.25
HIGH_SHARE = 0.9
STEP_BYTES = 64 * MIB
# What stays for the system, Nginx and the page cache.
RESERVE_BYTES, RESERVE_SHARE = 256 * MIB, 0.1
# Floating point operations per second and thread that a modest host reaches in float32; 42 to 80
# thousand million were measured on one core with AVX-512, and 7 beside busy neighbours. A timeout
# is as patient as those demand.
THREAD_FLOPS, PATIENCE = 25e9, 3
# Importing torch and transformers took 5 s on an idle host and 60 s on a loaded one; a slow disk
# or a network volume reads 20 MB/s.
START_SECONDS, READ_BYTES_PER_SECOND = 120, 20_000_000
# English has about 4 characters in a token, JSON may write each as \uXXXX; 8 for the rest.
BYTES_PER_TOKEN = 4 * 6 + 8
# The server's default for requests in work at once.
REQUESTS_IN_FLIGHT = 56
SERVER_TASKS, CPU_TASKS = 128, 8
# WebSockets that SERVER_TASKS has threads for.
WEBSOCKETS = 8
# A client on a line of 32 kbit/s; what Nginx takes of headers, and of a body at one reading.
SLOW_BYTES_PER_SECOND, HEADER_BYTES, READ_BYTES = 4096, 32 * 1024, 16 * 1024
# How often the server tries a fixed request (its default), and how much later than two requests
# of the longest kind it counts as hanging.
CANARY_SECONDS, WATCHDOG_MARGIN_SECONDS, MOST_WATCHDOG_SECONDS = 30, 30, 7200

Plan = dict[str, dict[str, Union[int, str]]]
Part = tuple[str, int]


@dataclass(frozen=True)
class Wishes:
    """What the user set; None: the plan decides. Sizes in bytes, ``timeout`` in seconds.

    ``context`` is in tokens; ``answer_tokens`` are the tokens of the longest answer of a chat.
    """

    memory: int | None = None
    cpus: float | None = None
    body: int | None = None
    timeout: int | None = None
    precision: str = "auto"
    parallel: int | None = None
    waiting: int | None = None
    context: int | None = None
    answer_tokens: int = 1024
    websockets: int = WEBSOCKETS


def check_wishes(host: Host, wishes: Wishes) -> None:
    """Refuse wishes that the host cannot grant, whatever the model is: raise ``ModelError``.

    Codes: insufficient_memory, invalid_option.
    """
    memory, total, body = wishes.memory, host.memory_bytes, wishes.body
    if memory is not None and memory > total:
        raise ModelError(
            f"resources.memory is {mib(memory)}, but the host has {mib(total)}; "
            "lower it, or set it to auto.",
            "insufficient_memory",
        )
    if wishes.cpus is not None and wishes.cpus > host.cpus:
        raise ModelError(
            f"resources.cpus is {wishes.cpus:g}, but the host has {host.cpus}; "
            "lower it, or set it to auto.",
            "invalid_option",
        )
    allowed = memory or offered(host)
    largest = int(allowed / MARGIN) // (2 * REQUESTS_IN_FLIGHT)
    if body is not None and body > largest:
        limit = f"the host offers {mib(allowed)}"
        if memory is not None:
            limit = f"resources.memory is {mib(allowed)}"
        raise ModelError(
            f"limits.body is {mib(body)}, and {REQUESTS_IN_FLIGHT} requests at once, each held as "
            f"received and as text, would take {mib(in_steps([requests_part(body)]))}, but "
            f"{limit}: lower limits.body to at most {max(1, largest // 1024)}K, or to auto.",
            "insufficient_memory",
            needed_bytes=in_steps([requests_part(body)]),
            allowed_bytes=allowed,
        )


def offered(host: Host) -> int:
    """Return the bytes that the host has for services, its own share taken off."""
    return host.memory_bytes - max(RESERVE_BYTES, int(host.memory_bytes * RESERVE_SHARE))


def requests_part(body: int) -> Part:
    """Return what requests in work take: each is held as received and as text."""
    return "requests", 2 * REQUESTS_IN_FLIGHT * body


class Planner:
    """One run of a planner; each method decides one thing and notes why."""

    def __init__(self, model: Mapping[str, Any], host: Host, wishes: Wishes) -> None:
        self.model, self.host, self.wishes = model, host, wishes
        self._plan: Plan = {}

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

    def _decide_weights(self, dtype: str) -> int:
        stored = self._stated("weights_bytes")
        width = DTYPE_BYTES[dtype]
        parameters = self._stated("parameters")
        if parameters:
            self._note("parameters", parameters, "The headers of the safetensors files state it.")
            reason = f"{parameters:,} parameters take {width} bytes each as {dtype}."
        else:
            known = self.model.get("weights_dtype", self.model.get("torch_dtype"))
            shown = known if known in DTYPE_BYTES else "an unknown dtype, as 16 bits"
            source = f"files in {shown}"
            parameters = round(stored / DTYPE_BYTES.get(str(known), 2))
            self._note("parameters", parameters, f"Reckoned from {stored:,} bytes of {source}.")
            reason = f"{stored:,} bytes of {source} become {dtype} in memory."
        self._note("weights_bytes", parameters * width, reason)
        return parameters * width

    def _decide_threads(self) -> int:
        wished = self.wishes.cpus
        threads = max(1, int(self.host.cpus if wished is None else wished))
        source = f"the host has {self.host.cpus}"
        if wished is not None:
            source = f"resources.cpus is {wished:g}"
        self._note("threads", threads, f"One compute thread for each whole CPU: {source}.")
        server = SERVER_TASKS + max(0, self.wishes.websockets - WEBSOCKETS)
        reason = f"{server} for the server, {CPU_TASKS} per CPU for the pools of the libraries."
        self._note("tasks_max", server + CPU_TASKS * self.host.cpus, reason)
        return threads

    def _allowed(self) -> int:
        """Return the bytes that the service may be given."""
        return offered(self.host) if self.wishes.memory is None else self.wishes.memory

    def _note_memory(self, parts: Sequence[Part]) -> None:
        needed, wished = in_steps(parts), self.wishes.memory
        reason = f"({listed(parts)}) + {MARGIN - 1:.0%}."
        if wished is not None:
            reason = f"resources.memory sets it; {mib(needed)} is needed: {reason}"
        memory = needed if wished is None else wished
        self._note("memory_max_bytes", memory, reason)
        self._note(
            "memory_high_bytes",
            int(memory * HIGH_SHARE),
            "90 % of memory_max_bytes: the kernel slows the service down before it kills it.",
        )

    def _refusal(self, parts: Sequence[Part], allowed: int, smaller: str = "") -> ModelError:
        if self.wishes.memory is not None:
            limit, remedy = f"resources.memory allows {mib(allowed)}", "raise it or set it to auto"
        else:
            limit = f"the host offers {mib(allowed)} of its {mib(self.host.memory_bytes)}"
            remedy = "take a host with more memory"
        return ModelError(
            f"The model needs {mib(in_steps(parts))} of memory ({listed(parts)}, with a "
            f"margin of {MARGIN - 1:.0%}), but {limit}: {remedy}{smaller}, or choose a smaller "
            "model.",
            "insufficient_memory",
            needed_bytes=in_steps(parts),
            allowed_bytes=allowed,
        )

    def _requests(self, body: int) -> Part:
        return requests_part(self.wishes.body or body)

    def _decide_load(self) -> None:
        read = self._stated("weights_bytes") / READ_BYTES_PER_SECOND
        self._note(
            "load_timeout_seconds",
            tens(START_SECONDS + read),
            f"{START_SECONDS} s to import the libraries, and the weights at 20 MB/s, a slow disk.",
        )

    def _decide_timeout(self, seconds: int, reason: str) -> None:
        if self.wishes.timeout is not None:
            seconds, reason = self.wishes.timeout, "The declaration sets it as limits.timeout."
        self._note("request_timeout_seconds", seconds, reason)
        self._note(
            "watchdog_seconds",
            min(MOST_WATCHDOG_SECONDS, CANARY_SECONDS + 2 * seconds + WATCHDOG_MARGIN_SECONDS),
            f"A canary each {CANARY_SECONDS} s behind a running request, twice the longest one, "
            f"and {WATCHDOG_MARGIN_SECONDS} s.",
        )
        self._decide_slow_clients(seconds)

    def _decide_slow_clients(self, timeout: int) -> None:
        """Decide how long a client may take to send, so that slow ones hold no connection."""
        for key, size, what in (
            ("header_timeout_seconds", HEADER_BYTES, "All headers"),
            ("body_timeout_seconds", READ_BYTES, "One piece of a body"),
        ):
            self._note(
                key,
                min(timeout, tens(size / SLOW_BYTES_PER_SECOND)),
                f"{what}, {size // 1024} KiB at most, from a client that sends "
                f"{SLOW_BYTES_PER_SECOND // 1024} KiB/s; never more than the request may take.",
            )

    def _decide_body(self, body: int, reason: str) -> None:
        if self.wishes.body is not None:
            body, reason = self.wishes.body, "The declaration sets it as limits.body."
        self._note("body_bytes", body, reason)


def in_steps(parts: Sequence[Part]) -> int:
    """Return the bytes that MemoryMax must allow, in whole steps."""
    return math.ceil(sum(size for _name, size in parts) * MARGIN / STEP_BYTES) * STEP_BYTES


def listed(parts: Sequence[Part]) -> str:
    """Return the parts of a sum, each with its size."""
    return " + ".join(f"{name} {mib(size)}" for name, size in parts)


def tens(seconds: float) -> int:
    """Round up to tens of seconds."""
    return math.ceil(seconds / 10) * 10


def mib(size: int) -> str:
    """Return a size in bytes as text, in MiB rounded up."""
    return f"{math.ceil(size / MIB):,} MiB"
