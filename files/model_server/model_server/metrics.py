# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Prometheus metrics; labels come from closed sets only."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "model_server_requests",
            "Requests answered; code is `ok` or the error code.",
            ["route", "status", "code"],
            registry=registry,
        )
        self._latency = Histogram(
            "model_server_request_seconds",
            "Time from the start of a request to its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._queue = Histogram(
            "model_server_queue_seconds",
            "Time from admission to the first computation.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._inference = Histogram(
            "model_server_batch_seconds",
            "Time to compute one batch.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._batch = Histogram(
            "model_server_batch_items",
            "Inputs computed together.",
            buckets=_ITEMS,
            registry=registry,
        )
        self._tokens = Counter("model_server_tokens", "Tokens computed.", registry=registry)
        self._truncated = Counter(
            "model_server_truncated_inputs",
            "Inputs cut at the model's token limit.",
            registry=registry,
        )
        self._dropped = Counter(
            "model_server_dropped_inputs",
            "Inputs thrown away before computation.",
            ["reason"],
            registry=registry,
        )
        self._first_token = Histogram(
            "model_server_first_token_seconds",
            "Time from the start of a generation to its first text.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._generation = Histogram(
            "model_server_generation_seconds",
            "Time to generate one answer.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._generations = Counter(
            "model_server_generations",
            "Answers generated; outcome is stop, length, cancelled or failed.",
            ["outcome"],
            registry=registry,
        )
        self._prompted = Counter(
            "model_server_prompt_tokens", "Tokens of the prompts of answers.", registry=registry
        )
        self._generated = Counter(
            "model_server_generated_tokens", "Tokens generated.", registry=registry
        )
        self._audit_failures = Counter(
            "model_server_audit_failures",
            "Requests that the audit log could not record.",
            registry=registry,
        )
        self._model = Info("model_server_model", "What is served.", registry=registry)
        self._ready = Gauge(
            "model_server_ready", "1 when loaded and the canary passed.", registry=registry
        )
        self._queued = Gauge(
            "model_server_queued_tokens", "Tokens that wait for computation.", registry=registry
        )

        self._limits_fallback = Gauge(
            "model_server_limits_fallback",
            "1 while usage is counted by each process, because Redis cannot be reached.",
            registry=registry,
        )

    def request(self, route: str, status: int, code: str, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(route, str(status), code).inc()
        self._latency.labels(route).observe(seconds)

    def queued(self, seconds: float) -> None:
        """Record how long one request waited for its first batch."""
        self._queue.observe(seconds)

    def batch(self, items: int, tokens: int, seconds: float) -> None:
        """Record one computed batch."""
        self._batch.observe(items)
        self._tokens.inc(tokens)
        self._inference.observe(seconds)

    def truncated(self, inputs: int) -> None:
        """Count inputs that were cut."""
        self._truncated.inc(inputs)

    def dropped(self, reason: str, items: int) -> None:
        """Count inputs thrown away; reason is `cancelled` or `expired`."""
        self._dropped.labels(reason).inc(items)

    def generated(
        self,
        outcome: str,
        *,
        prompt_tokens: int,
        completion_tokens: int,
        first_seconds: float | None,
        seconds: float,
    ) -> None:
        """Record one answer; `first_seconds` is None when no text came."""
        self._generations.labels(outcome).inc()
        self._prompted.inc(prompt_tokens)
        self._generated.inc(completion_tokens)
        self._generation.observe(seconds)
        if first_seconds is not None:
            self._first_token.observe(first_seconds)

    def audit_failed(self) -> None:
        """Count one request that is missing in the audit log."""
        self._audit_failures.inc()

    def describe(self, labels: dict[str, str]) -> None:
        """Publish what is served."""
        self._model.info(labels)

    def watch(self, ready: Callable[[], bool], queued_tokens: Callable[[], int]) -> None:
        """Read readiness and queue length when the metrics are collected."""
        self._ready.set_function(lambda: float(ready()))
        self._queued.set_function(lambda: float(queued_tokens()))

    def watch_limits(self, fallback: Callable[[], bool]) -> None:
        """Read when the metrics are collected whether Redis is replaced by memory."""
        self._limits_fallback.set_function(lambda: float(fallback()))

    def render(self) -> bytes:
        """Return the text exposition."""
        return generate_latest(self.registry)
