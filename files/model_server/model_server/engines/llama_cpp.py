# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Engine on llama.cpp, by xllamacpp: a GGUF file, several answers at once, on the CPU.

The library wraps llama.cpp's server in this process. That server insists on a listener, so it gets
a Unix socket in a folder of our own, and the socket's name is removed as soon as the model is
loaded: nobody can connect.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import xllamacpp  # type: ignore[import-untyped]

from ..settings import EngineSettings
from .base import (
    EngineError,
    EngineInfo,
    EngineStartFailed,
    GenerationChunk,
    GenerationRequest,
    PromptRefused,
    PromptTooLong,
    Purpose,
    TextGenerator,
)
from .gguf import GgufHead, read_gguf
from .markers import Markers
from .pump import pump

# Between two pieces of a prompt of that many tokens the computation can be ended; 512 would take a
# quarter less time for a long prompt, and seconds to end on a slow host.
_PROMPT_PIECE = 32
_SILENT = -1
_RANDOM_SEED = -1


class LlamaCppGenerator(TextGenerator):
    """One GGUF model in memory."""

    _server: Any = None
    _info: EngineInfo
    _markers: Markers
    _parallel: int

    @property
    def info(self) -> EngineInfo:
        """What was loaded."""
        return self._info

    @property
    def parallel(self) -> int:
        """How many answers may be generated at once."""
        return self._parallel

    def load(self, snapshot: Path, settings: EngineSettings, purpose: Purpose) -> None:
        """Load the GGUF file that the settings name; raise EngineStartFailed when it cannot be."""
        file = _gguf_file(snapshot, settings.file)
        head = read_gguf(file)
        if not head.has_chat_template:
            raise EngineStartFailed(f"{file} has no chat template; serve a model made for chat")
        context = _context(head, settings.max_tokens)
        self._parallel = settings.parallel
        self._markers = Markers(head.markers)
        folder = tempfile.mkdtemp(prefix="llama-")
        try:
            self._server = xllamacpp.Server(_parameters(file, settings, context, folder))
        except Exception as error:
            raise EngineStartFailed(
                f"llama.cpp cannot load {file}: {error}; its architecture "
                f"{head.values['general.architecture']!r} may be unknown to xllamacpp "
                f"{xllamacpp.__version__}, or memory too small"
            ) from error
        finally:
            shutil.rmtree(folder)
        self._info = EngineInfo(
            name="llama_cpp",
            version=xllamacpp.__version__,
            device="cpu",
            dtype=file.stem.rpartition(".")[2].rpartition("-")[2],
            hidden_size=head.hidden_size,
            max_tokens=context,
            pad_token_id=0,
        )

    def generate(
        self, request: GenerationRequest, cancelled: Callable[[], bool]
    ) -> Generator[GenerationChunk]:
        """Yield the answer as it is made; the end of the context ends it, too."""
        body = {
            "messages": self._markers.conversation(request.messages),
            "max_tokens": request.max_tokens,
            # What OpenAI's parameters mean, without llama.cpp's further samplers.
            "samplers": ["temperature", "top_p"],
            "temperature": request.temperature,
            "top_p": request.top_p,
            "stop": list(request.stop),
            "seed": _RANDOM_SEED if request.seed is None else request.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
            # A call after each piece of the prompt, so that it can be ended there.
            "return_progress": True,
        }
        server = self._server
        events: Generator[dict[str, Any]] = pump(
            lambda hand_over: server.handle_chat_completions(body, hand_over), cancelled
        )
        reason = None
        prompt, texts = 0, 0
        for event in events:
            if "choices" not in event:
                raise _failure(event.get("error", event))
            prompt = event.get("prompt_progress", {}).get("total", prompt)
            for choice in event["choices"]:
                reason = choice["finish_reason"] or reason
                if text := choice["delta"].get("content"):
                    texts += 1
                    yield GenerationChunk(text, None, prompt, texts)
            if usage := event.get("usage"):
                yield GenerationChunk(
                    "",
                    "length" if reason == "length" else "stop",
                    usage["prompt_tokens"],
                    usage["completion_tokens"],
                )

    def close(self) -> None:
        """Free the model."""
        self._server = None


def _gguf_file(snapshot: Path, name: str | None) -> Path:
    files = sorted(snapshot.rglob("*.gguf"))
    listed = ", ".join(str(file.relative_to(snapshot)) for file in files) or "none"
    if name is not None:
        if snapshot / name not in files:
            raise EngineStartFailed(f"{snapshot} has no {name}; its GGUF files: {listed}")
        return snapshot / name
    # Of a model in parts llama.cpp wants the first, and finds the others.
    first = [file for file in files if "-of-" not in file.stem or "-00001-of-" in file.stem]
    if len(first) != 1:
        raise EngineStartFailed(
            f"{snapshot} must hold one GGUF file, or engine.file must name one; it holds: {listed}"
        )
    return first[0]


def _context(head: GgufHead, wanted: int | None) -> int:
    if wanted is not None and wanted > head.context_length:
        raise EngineStartFailed(
            f"engine.max_tokens is {wanted}, but the model takes {head.context_length}; lower it"
        )
    return wanted or head.context_length


def _parameters(file: Path, settings: EngineSettings, context: int, folder: str) -> Any:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.n_ctx = context * settings.parallel
    parameters.n_parallel = settings.parallel
    parameters.n_batch = _PROMPT_PIECE
    for threads in (parameters.cpuparams, parameters.cpuparams_batch):
        threads.n_threads = settings.threads
        # Threads that spin while they wait slow down everything beside them.
        threads.poll = 0
    parameters.n_gpu_layers = 0
    parameters.fit_params = False
    parameters.ctx_shift = False
    # No copies of old conversations in memory that nobody planned.
    parameters.cache_ram_mib = 0
    parameters.prefill_assistant = False
    parameters.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_NONE
    parameters.verbosity = _SILENT
    parameters.offline = True
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.n_threads_http = 1
    parameters.hostnames = [f"{folder}/llama.sock"]
    return parameters


def _failure(error: dict[str, Any]) -> EngineError:
    message = str(error.get("message", "no reason given"))
    if error.get("type") == "exceed_context_size_error":
        return PromptTooLong(
            f"The messages have {error.get('n_prompt_tokens')} tokens; the model takes "
            f"{error.get('n_ctx')} of messages and answer together."
        )
    if error.get("code") == 400:
        return PromptRefused(f"The model's chat template does not take these messages: {message}")
    return EngineError(f"llama.cpp failed: {message}")
