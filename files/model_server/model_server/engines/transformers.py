# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Engine on PyTorch and Hugging Face Transformers: safetensors only, no code of the snapshot."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Encoding, Tokenizer
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

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
    TextTooLong,
    TokenizedText,
)


@dataclass(frozen=True)
class _Kind:
    """Which models serve a purpose: Transformers' loader, and how their architectures end.

    `uses` is what the kind is for, in the words of the declaration.
    """

    loader: Any
    architecture: str
    uses: str
    optional_weights: tuple[str, ...] = ()


_KINDS = {
    # The pooler feeds next-sentence prediction only; checkpoints of encoders often lack it.
    Purpose.STATES: _Kind(AutoModel, "", "embedding", ("pooler.",)),
    Purpose.SEQUENCE: _Kind(
        AutoModelForSequenceClassification, "ForSequenceClassification", "rerank or classification"
    ),
    Purpose.TOKENS: _Kind(
        AutoModelForTokenClassification, "ForTokenClassification", "token_classification"
    ),
    Purpose.SPAN: _Kind(
        AutoModelForQuestionAnswering, "ForQuestionAnswering", "question_answering"
    ),
}


class TransformersEncoder(TextEncoder):
    """One encoder in memory, on the CPU."""

    _model: Any
    _tokenizer: Tokenizer
    _info: EngineInfo
    _purpose: Purpose
    _reads_types: bool

    @property
    def info(self) -> EngineInfo:
        """What was loaded."""
        return self._info

    def load(self, snapshot: Path, settings: EngineSettings, purpose: Purpose) -> None:
        """Load weights and tokenizer; raise EngineStartFailed when they cannot be served."""
        if not (snapshot / "config.json").is_file():
            raise EngineStartFailed(f"{snapshot} holds no config.json; fetch the model again")
        kind = _KINDS[purpose]
        source: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        torch.set_num_threads(settings.threads)
        transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            config = AutoConfig.from_pretrained(snapshot, **source)
            _refuse_other_kind(snapshot, config, kind)
            self._model, loading = kind.loader.from_pretrained(
                snapshot,
                dtype=getattr(torch, settings.dtype),
                use_safetensors=True,
                output_loading_info=True,
                **source,
            )
            tokenizer = AutoTokenizer.from_pretrained(snapshot, **source)
        except EngineStartFailed:
            raise
        except Exception as error:  # Damaged files fail in many ways, all of them ours to tell.
            raise EngineStartFailed(f"{snapshot} cannot be loaded: {error}") from error
        _refuse_gaps(snapshot, loading, kind)
        self._model.eval()
        self._purpose = purpose
        self._reads_types = _reads_types(self._model)
        self._tokenizer = _plain_tokenizer(snapshot, tokenizer)
        self._info = EngineInfo(
            name="transformers",
            version=transformers.__version__,
            device="cpu",
            dtype=settings.dtype,
            hidden_size=int(self._model.config.hidden_size),
            max_tokens=_position_limit(self._model, tokenizer),
            pad_token_id=int(tokenizer.pad_token_id or 0),
            labels=_labels(self._model.config, purpose),
        )

    def tokenize(self, texts: Sequence[Text], max_tokens: int) -> list[TokenizedText]:
        """Tokenize as the model's own tokenizer does, special tokens included."""
        return [
            self._complete(head, pieces[0], truncated=len(pieces) > 1)
            for head, pieces in self._split(texts, max_tokens)
        ]

    def windows(self, text: Text, max_tokens: int, overlap: int) -> list[TokenizedText]:
        """Tokenize whole, each window with its special tokens."""
        ((head, pieces),) = self._split([text], max_tokens, overlap, least=max(1, 2 * overlap))
        return [self._complete(head, piece) for piece in pieces]

    def encode(self, batch: TensorBatch) -> FloatArray:
        """Run the encoder; its numbers come back as float32 whatever the dtype."""
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        if self._reads_types:
            inputs["token_type_ids"] = batch.token_type_ids
        try:
            with torch.inference_mode():
                output = self._model(
                    **{name: torch.from_numpy(array) for name, array in inputs.items()}
                )
                numbers: FloatArray = self._wanted(output).float().numpy()
                return numbers
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise EngineOutOfMemory(str(error)) from error
        except RuntimeError as error:
            # PyTorch's CPU allocator has no exception of its own.
            if "allocate memory" in str(error):
                raise EngineOutOfMemory(str(error)) from error
            raise

    def _wanted(self, output: Any) -> torch.Tensor:
        if self._purpose is Purpose.STATES:
            wanted: torch.Tensor = output.last_hidden_state
        elif self._purpose is Purpose.SPAN:
            wanted = torch.stack((output.start_logits, output.end_logits), dim=-1)
        else:
            wanted = output.logits
        return wanted

    def _split(
        self, texts: Sequence[Text], max_tokens: int, overlap: int = 0, *, least: int = 0
    ) -> list[tuple[Encoding | None, list[Encoding]]]:
        """Encode each text, of a pair the second, in pieces that fit into `max_tokens`.

        The tokenizer's own truncation is state that threads would share, and its windows of pairs
        have wrong segment ids in all but the first; so the pieces are cut here. `least` is the
        room that a piece must have beside special tokens and first text.
        """
        heads = list(dict.fromkeys(text[0] for text in texts if isinstance(text, tuple)))
        encoded_heads = dict(zip(heads, self._plain(heads), strict=True))
        bodies = self._plain([text[1] if isinstance(text, tuple) else text for text in texts])
        split = []
        for text, body in zip(texts, bodies, strict=True):
            head = encoded_heads[text[0]] if isinstance(text, tuple) else None
            room = max_tokens - self._tokenizer.num_special_tokens_to_add(head is not None)
            room -= 0 if head is None else len(head)
            if room < max(least, 0 if head is None else 1):
                raise TextTooLong(f"of {max_tokens} tokens it leaves {max(0, room)} for the text")
            body.truncate(room, stride=overlap)
            split.append((head, [body, *body.overflowing]))
        return split

    def _plain(self, texts: list[str]) -> list[Encoding]:
        return self._tokenizer.encode_batch(texts, add_special_tokens=False)

    def _complete(
        self, head: Encoding | None, body: Encoding, *, truncated: bool = False
    ) -> TokenizedText:
        """Add the special tokens; tell types and places only where they are read."""
        parts = (body,) if head is None else (head, body)
        encoding = self._tokenizer.post_process(*parts)
        points = self._purpose in (Purpose.TOKENS, Purpose.SPAN)
        return TokenizedText(
            encoding.ids,
            truncated,
            encoding.type_ids if self._reads_types and head is not None else (),
            encoding.offsets if points else (),
            _segments(encoding, [len(part) for part in parts]) if points else (),
        )


def _segments(encoding: Encoding, lengths: Sequence[int]) -> list[int | None]:
    """Which text each token is of; the encoding's own answer lacks the first of some pairs."""
    segments = (segment for segment, length in enumerate(lengths) for _token in range(length))
    return [None if special else next(segments) for special in encoding.special_tokens_mask]


def _labels(config: Any, purpose: Purpose) -> tuple[str, ...]:
    if purpose not in (Purpose.SEQUENCE, Purpose.TOKENS):
        return ()
    return tuple(str(config.id2label[index]) for index in range(config.num_labels))


def _reads_types(model: Any) -> bool:
    takes = "token_type_ids" in inspect.signature(model.forward).parameters
    return takes and getattr(model.config, "type_vocab_size", 0) > 1


def _plain_tokenizer(snapshot: Path, tokenizer: Any) -> Tokenizer:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise EngineStartFailed(f"{snapshot} has no tokenizer of the tokenizers library")
    plain = Tokenizer.from_str(backend.to_str())
    plain.no_truncation()
    plain.no_padding()
    return plain


def _refuse_other_kind(snapshot: Path, config: Any, kind: _Kind) -> None:
    stated = config.architectures or []
    if stated and not any(name.endswith(kind.architecture) for name in stated):
        raise EngineStartFailed(
            f"{snapshot} is a {', '.join(stated)}, which cannot do {kind.uses}; serve a model of "
            f"the kind ...{kind.architecture}, or this one for another task"
        )


def _refuse_gaps(snapshot: Path, loading: dict[str, Any], kind: _Kind) -> None:
    """Weights that are missing would be random numbers, and the answers with them."""
    missing = sorted(
        key for key in loading["missing_keys"] if not key.startswith(kind.optional_weights)
    )
    wrong = missing + sorted(str(key) for key in loading["mismatched_keys"])
    if wrong:
        raise EngineStartFailed(
            f"{snapshot} lacks {len(wrong)} weights of a model for {kind.uses}, or they have the "
            f"wrong shape: {', '.join(wrong[:3])}; fetch the model again"
        )


def _position_limit(model: Any, tokenizer: Any) -> int:
    positions = getattr(model.config, "max_position_embeddings", None) or tokenizer.model_max_length
    table = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    # RoBERTa and its kin count positions from one past the padding id.
    padding = getattr(table, "padding_idx", None)
    reserved = 0 if padding is None else padding + 1
    return int(min(tokenizer.model_max_length, positions - reserved))
