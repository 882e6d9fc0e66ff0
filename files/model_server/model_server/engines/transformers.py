# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Engine on PyTorch and Hugging Face Transformers: safetensors only, no code of the snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer
from transformers import AutoModel, AutoTokenizer

from ..settings import EngineSettings
from .base import (
    EngineInfo,
    EngineOutOfMemory,
    EngineStartFailed,
    FloatArray,
    Purpose,
    TensorBatch,
    Text,
    TextEncoder,
    TokenizedText,
)

# The pooler feeds next-sentence prediction only; checkpoints of encoders often lack it.
_OPTIONAL_WEIGHTS = ("pooler.",)


class TransformersEncoder(TextEncoder):
    """One encoder in memory, on the CPU."""

    _model: Any
    _tokenizer: Tokenizer
    _info: EngineInfo

    @property
    def info(self) -> EngineInfo:
        """What was loaded."""
        return self._info

    def load(self, snapshot: Path, settings: EngineSettings, purpose: Purpose) -> None:
        """Load weights and tokenizer; raise EngineStartFailed when they cannot be served."""
        if not (snapshot / "config.json").is_file():
            raise EngineStartFailed(f"{snapshot} holds no config.json; fetch the model again")
        torch.set_num_threads(settings.threads)
        transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            self._model, loading = AutoModel.from_pretrained(
                snapshot,
                dtype=getattr(torch, settings.dtype),
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
            tokenizer = AutoTokenizer.from_pretrained(
                snapshot, local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # Damaged files fail in many ways, all of them ours to tell.
            raise EngineStartFailed(f"{snapshot} cannot be loaded: {error}") from error
        self._refuse_gaps(snapshot, loading)
        self._model.eval()
        self._tokenizer = self._plain_tokenizer(snapshot, tokenizer)
        self._info = EngineInfo(
            name="transformers",
            version=transformers.__version__,
            device="cpu",
            dtype=settings.dtype,
            hidden_size=int(self._model.config.hidden_size),
            max_tokens=self._position_limit(tokenizer),
            pad_token_id=int(tokenizer.pad_token_id or 0),
        )

    def tokenize(self, texts: Sequence[Text], max_tokens: int) -> list[TokenizedText]:
        """Tokenize as the model's own tokenizer does, special tokens included."""
        return [
            TokenizedText(encoding.ids, bool(encoding.overflowing))
            for encoding in self._limited(max_tokens).encode_batch(list(texts))
        ]

    def encode(self, batch: TensorBatch) -> FloatArray:
        """Run the encoder; states come back as float32 whatever the dtype."""
        try:
            with torch.inference_mode():
                output = self._model(
                    input_ids=torch.from_numpy(batch.input_ids),
                    attention_mask=torch.from_numpy(batch.attention_mask),
                )
                states: FloatArray = output.last_hidden_state.float().numpy()
                return states
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise EngineOutOfMemory(str(error)) from error
        except RuntimeError as error:
            # PyTorch's CPU allocator has no exception of its own.
            if "allocate memory" in str(error):
                raise EngineOutOfMemory(str(error)) from error
            raise

    def _limited(self, max_tokens: int) -> Tokenizer:
        """The tokenizer cut at `max_tokens`; set once, since setting is not thread-safe."""
        truncation = self._tokenizer.truncation
        if truncation is None or truncation["max_length"] != max_tokens:
            limited = Tokenizer.from_str(self._tokenizer.to_str())
            limited.enable_truncation(max_tokens)
            self._tokenizer = limited
        return self._tokenizer

    @staticmethod
    def _plain_tokenizer(snapshot: Path, tokenizer: Any) -> Tokenizer:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise EngineStartFailed(f"{snapshot} has no tokenizer of the tokenizers library")
        plain = Tokenizer.from_str(backend.to_str())
        plain.no_truncation()
        plain.no_padding()
        return plain

    @staticmethod
    def _refuse_gaps(snapshot: Path, loading: dict[str, Any]) -> None:
        """Weights that are missing would be random numbers, and the answers with them."""
        missing = sorted(
            key for key in loading["missing_keys"] if not key.startswith(_OPTIONAL_WEIGHTS)
        )
        wrong = missing + sorted(str(key) for key in loading["mismatched_keys"])
        if wrong:
            raise EngineStartFailed(
                f"{snapshot} lacks {len(wrong)} weights, or they have the wrong shape: "
                f"{', '.join(wrong[:3])}; fetch the model again"
            )

    def _position_limit(self, tokenizer: Any) -> int:
        positions = getattr(self._model.config, "max_position_embeddings", None)
        return int(min(tokenizer.model_max_length, positions or tokenizer.model_max_length))
