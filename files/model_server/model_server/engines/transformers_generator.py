# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Engine on PyTorch and Hugging Face Transformers that generates: safetensors, one answer at once.

It exists for models that no GGUF file is made of; on a CPU llama.cpp is many times faster.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from jinja2 import TemplateError
from tokenizers.decoders import DecodeStream
from transformers import AutoModelForCausalLM, AutoTokenizer

from ..settings import EngineSettings
from .base import (
    EngineInfo,
    EngineStartFailed,
    GenerationChunk,
    GenerationRequest,
    PromptRefused,
    PromptTooLong,
    Purpose,
    TextGenerator,
)
from .markers import Markers
from .stop_texts import StopTexts

# Between two pieces of a prompt of that many tokens the computation can be ended.
_PROMPT_PIECE = 32


class TransformersGenerator(TextGenerator):
    """One causal language model in memory, on the CPU."""

    _model: Any
    _tokenizer: Any
    _ends: frozenset[int]
    _info: EngineInfo
    _markers: Markers

    @property
    def info(self) -> EngineInfo:
        """What was loaded."""
        return self._info

    @property
    def parallel(self) -> int:
        """One: PyTorch's threads already share the one computation."""
        return 1

    def load(self, snapshot: Path, settings: EngineSettings, purpose: Purpose) -> None:
        """Load weights, tokenizer and chat template; raise EngineStartFailed without them."""
        if not (snapshot / "config.json").is_file():
            raise EngineStartFailed(f"{snapshot} holds no config.json; fetch the model again")
        torch.set_num_threads(settings.threads)
        transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                snapshot,
                dtype=getattr(torch, settings.dtype),
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
            self._tokenizer = AutoTokenizer.from_pretrained(
                snapshot, local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # Damaged files fail in many ways, all of them ours to tell.
            raise EngineStartFailed(f"{snapshot} cannot be loaded: {error}") from error
        self._model, loading = loaded
        # Weights that are missing would be random numbers, and the answers with them.
        gaps = sorted(map(str, [*loading["missing_keys"], *loading["mismatched_keys"]]))
        if gaps:
            raise EngineStartFailed(
                f"{snapshot} lacks {len(gaps)} weights, or they have the wrong shape: "
                f"{', '.join(gaps[:3])}; fetch the model again"
            )
        if not self._tokenizer.chat_template:
            raise EngineStartFailed(f"{snapshot} has no chat template; serve a model made for chat")
        self._model.eval()
        self._ends = _end_tokens(self._model, self._tokenizer)
        self._markers = Markers(
            str(token) for token in self._tokenizer.added_tokens_decoder.values() if token.special
        )
        self._info = EngineInfo(
            name="transformers",
            version=transformers.__version__,
            device="cpu",
            dtype=settings.dtype,
            hidden_size=int(self._model.config.hidden_size),
            max_tokens=_context(int(self._model.config.max_position_embeddings), settings),
            pad_token_id=int(self._tokenizer.pad_token_id or 0),
        )

    def generate(
        self, request: GenerationRequest, cancelled: Callable[[], bool]
    ) -> Generator[GenerationChunk]:
        """Yield the answer token by token; the end of the context ends it, too."""
        prompt = self._prompt(request)
        room = self._info.max_tokens - len(prompt)
        if room < 1:
            raise PromptTooLong(
                f"The messages have {len(prompt)} tokens; the model takes "
                f"{self._info.max_tokens} of messages and answer together."
            )
        texts = DecodeStream(skip_special_tokens=True)
        stops = StopTexts(request.stop)
        count = 0
        reason = "length"
        for token in self._tokens(prompt, min(request.max_tokens, room), request, cancelled):
            count += 1
            if token in self._ends:
                reason = "stop"
                break
            # None while a character is not complete.
            piece = stops.feed(texts.step(self._tokenizer.backend_tokenizer, token) or "")
            if piece:
                yield GenerationChunk(piece, None, len(prompt), count)
            if stops.stopped:
                reason = "stop"
                break
        if not cancelled():
            yield GenerationChunk(
                stops.rest(),
                "stop" if reason == "stop" else "length",
                len(prompt),
                count,
            )

    def _prompt(self, request: GenerationRequest) -> list[int]:
        conversation = self._markers.conversation(request.messages)
        try:
            text = self._tokenizer.apply_chat_template(
                conversation, tokenize=False, add_generation_prompt=True
            )
        except TemplateError as error:
            raise PromptRefused(
                f"The model's chat template does not take these messages: {error}"
            ) from error
        # The template writes the special tokens itself.
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _tokens(
        self,
        prompt: list[int],
        limit: int,
        request: GenerationRequest,
        cancelled: Callable[[], bool],
    ) -> Iterator[int]:
        """Sample one token after the other until the limit; ends early when cancelled."""
        random = torch.Generator()
        if request.seed is None:
            random.seed()
        else:
            random.manual_seed(request.seed)
        cache = None
        pieces = [
            prompt[start : start + _PROMPT_PIECE] for start in range(0, len(prompt), _PROMPT_PIECE)
        ]
        for _index in range(limit):
            for piece in pieces:
                if cancelled():
                    return
                with torch.inference_mode():
                    output = self._model(
                        input_ids=torch.tensor([piece]), past_key_values=cache, use_cache=True
                    )
                cache = output.past_key_values
            token = _sample(output.logits[0, -1].float(), request, random)
            yield token
            pieces = [[token]]


def _sample(logits: torch.Tensor, request: GenerationRequest, random: torch.Generator) -> int:
    """Draw from the nucleus: the likeliest tokens that together have probability `top_p`."""
    if request.temperature == 0:
        return int(logits.argmax())
    probabilities, tokens = torch.softmax(logits / request.temperature, -1).sort(descending=True)
    before = probabilities.cumsum(-1) - probabilities
    probabilities[before >= request.top_p] = 0
    return int(tokens[torch.multinomial(probabilities, 1, generator=random)])


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    stated = model.generation_config.eos_token_id
    ends = stated if isinstance(stated, list) else [stated]
    return frozenset(int(end) for end in (*ends, tokenizer.eos_token_id) if end is not None)


def _context(positions: int, settings: EngineSettings) -> int:
    if settings.max_tokens is not None and settings.max_tokens > positions:
        raise EngineStartFailed(
            f"engine.max_tokens is {settings.max_tokens}, but the model takes {positions}; lower it"
        )
    return settings.max_tokens or positions
