# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Engine that hands conversations on to an OpenAI-compatible server: vLLM, Ollama, LMDeploy.

The markers of its chat template are not known here; keeping them out of what clients write is that
server's duty.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import httpx2

from ..settings import EngineSettings
from .base import (
    EngineInfo,
    EngineStartFailed,
    GenerationChunk,
    GenerationRequest,
    PromptTooLong,
    Purpose,
    TextGenerator,
    UpstreamError,
)
from .pump import pump

_CONNECT_SECONDS = 5.0
_LIST_SECONDS = 15.0
# Chats have no such limit of their own; what the server takes is known to the server only.
_UNKNOWN_CONTEXT = 1_000_000
_REASON_CHARACTERS = 200
_TOO_LONG = ("context_length_exceeded", "context length", "context size", "context window")


class UpstreamGenerator(TextGenerator):
    """One model of another server."""

    _info: EngineInfo
    _url: str
    _model: str
    _parallel: int

    @property
    def info(self) -> EngineInfo:
        """What is known of the other server's model."""
        return self._info

    @property
    def parallel(self) -> int:
        """How many answers may be asked for at once."""
        return self._parallel

    def load(self, snapshot: Path, settings: EngineSettings, purpose: Purpose) -> None:
        """Ask for the model; raise EngineStartFailed unless the server has it."""
        if settings.upstream_url is None or settings.upstream_model is None:
            raise EngineStartFailed("engine.upstream_url and engine.upstream_model must be set")
        self._url = settings.upstream_url.rstrip("/")
        self._model = settings.upstream_model
        self._parallel = settings.parallel
        names = self._models()
        if self._model not in names:
            raise EngineStartFailed(
                f"{self._url} has no model {self._model!r}; it has: {', '.join(names) or 'none'}"
            )
        self._info = EngineInfo(
            name="upstream",
            version=httpx2.__version__,
            device="upstream",
            dtype="upstream",
            hidden_size=0,
            max_tokens=settings.max_tokens or _UNKNOWN_CONTEXT,
            pad_token_id=0,
        )

    def generate(
        self, request: GenerationRequest, cancelled: Callable[[], bool]
    ) -> Generator[GenerationChunk]:
        """Yield the answer as it arrives; ending it closes the connection."""
        connection = _Connection()
        body = {
            "model": self._model,
            "messages": [
                {"role": message.role, "content": message.content} for message in request.messages
            ],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.stop:
            body["stop"] = list(request.stop)
        if request.seed is not None:
            body["seed"] = request.seed

        def receive(hand_over: Callable[[dict[str, Any]], bool]) -> None:
            with (
                self._client(None) as client,
                client.stream(
                    "POST",
                    f"{self._url}/chat/completions",
                    json=body,
                    extensions={"trace": connection.follow},
                ) as response,
            ):
                if response.status_code != httpx2.codes.OK:
                    response.read()
                    raise _refusal(response)
                for event in _events(response.iter_lines()):
                    if hand_over(event):
                        return

        events = pump(receive, cancelled, connection.cut)
        try:
            yield from _chunks(events)
        except httpx2.HTTPError as error:
            raise UpstreamError(f"{self._url} does not answer: {_kind(error)}") from error

    def _client(self, read_seconds: float | None) -> httpx2.Client:
        """A client for one exchange: without proxies of the environment, without redirects."""
        headers = {} if self.credential is None else {"Authorization": f"Bearer {self.credential}"}
        timeout = httpx2.Timeout(read_seconds, connect=_CONNECT_SECONDS)
        return httpx2.Client(headers=headers, timeout=timeout, trust_env=False)

    def _models(self) -> list[str]:
        try:
            with self._client(_LIST_SECONDS) as client:
                response = client.get(f"{self._url}/models")
            if response.status_code != httpx2.codes.OK:
                raise EngineStartFailed(
                    f"{self._url}/models answered {response.status_code}: {_reason(response)}"
                )
            return [str(model["id"]) for model in response.json()["data"]]
        except httpx2.HTTPError as error:
            raise EngineStartFailed(f"{self._url} does not answer: {_kind(error)}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise EngineStartFailed(
                f"{self._url}/models does not list models as OpenAI's API does; "
                "engine.upstream_url must end before `/models`, mostly in `/v1`"
            ) from error


class _Connection:
    """The socket of one exchange, so that another thread can end it."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def follow(self, event: str, info: dict[str, Any]) -> None:
        """Note the socket; a trace function of httpcore."""
        if event == "connection.connect_tcp.complete":
            self._socket = info["return_value"].get_extra_info("socket")

    def cut(self) -> None:
        """Wake whoever reads from the socket; closing alone would not."""
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                return


def _events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The data of Server-Sent Events, up to `[DONE]`."""
    for line in lines:
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        try:
            event = json.loads(data)
        except ValueError as error:
            raise UpstreamError("the stream holds what is not JSON") from error
        if not isinstance(event, dict):
            raise UpstreamError("the stream holds what is no event")
        yield event


def _chunks(events: Iterator[dict[str, Any]]) -> Iterator[GenerationChunk]:
    """The answer; counts that the server does not send are counted by its events."""
    reason = None
    usage: dict[str, Any] = {}
    texts = 0
    for event in events:
        if event.get("error"):
            raise UpstreamError(f"it broke off: {_short(event['error'])}")
        for choice in event.get("choices") or []:
            reason = choice.get("finish_reason") or reason
            if text := (choice.get("delta") or {}).get("content"):
                texts += 1
                yield GenerationChunk(text, None, 0, texts)
        usage = event.get("usage") or usage
    if reason is not None:
        yield GenerationChunk(
            "",
            "length" if reason == "length" else "stop",
            int(usage.get("prompt_tokens", 0)),
            int(usage.get("completion_tokens", texts)),
        )


def _refusal(response: httpx2.Response) -> PromptTooLong | UpstreamError:
    reason = _reason(response)
    lowered = f"{reason} {_error(response).get('code', '')}".lower()
    if response.is_client_error and any(words in lowered for words in _TOO_LONG):
        return PromptTooLong(f"The server behind this one answered: {reason}")
    return UpstreamError(f"The server behind this one answered {response.status_code}: {reason}")


def _reason(response: httpx2.Response) -> str:
    return _short(_error(response).get("message") or response.text)


def _error(response: httpx2.Response) -> dict[str, Any]:
    try:
        content = response.json()
    except ValueError:
        return {}
    if not isinstance(content, dict):
        return {}
    error = content.get("error", content)
    return error if isinstance(error, dict) else {"message": str(error)}


def _short(reason: Any) -> str:
    text = str(reason.get("message", reason) if isinstance(reason, dict) else reason)
    return " ".join(text.split())[:_REASON_CHARACTERS] or "no reason given"


def _kind(error: httpx2.HTTPError) -> str:
    """Name and text of a failure; requests, and with them the key, are no part of either."""
    return f"{type(error).__name__}: {_short(str(error))}"
