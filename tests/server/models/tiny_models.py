# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Tiny models that truly solve a toy task: trained here, in seconds, on made-up data.

They are small (two layers), but ordinary snapshots: `config.json`, `model.safetensors` and a
tokenizer. A model that does not answer 98 % of unseen examples rightly is not written.

    python tests/server/models/tiny_models.py FOLDER [NAME...]

writes FOLDER/NAME/ for each name, or for all.
"""

from __future__ import annotations

import random
import string
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tiny_data
from tiny_data import Draw, Example

if TYPE_CHECKING:
    import torch
    from tokenizers import Encoding

MAX_TOKENS = 128
ENOUGH = 0.98
_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_TRAINING, _HELD_OUT, _BATCH, _CHECK_EVERY, _MAX_STEPS = 6000, 300, 64, 50, 3000
_IGNORED = -100

Batch = dict[str, "torch.Tensor"]
Encodings = Sequence["Encoding"]


class NotLearned(Exception):
    """A model did not reach its accuracy."""


@dataclass(frozen=True)
class Recipe:
    """How a tiny model is made: its data, its head, what it is taught and how it is judged."""

    draw: Draw
    head: str
    teach: Callable[[Sequence[Example], Encodings], Any]
    right: Callable[[Any, Any], Any]
    labels: tuple[str, ...] = ()


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordPiece

    whole, signs = tiny_data.words()
    letters = string.ascii_letters + string.digits
    pieces = [*whole, *signs, *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(_SPECIALS + pieces))}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    tokenizer.enable_padding(pad_id=0)
    return tokenizer


def _teach_index(examples: Sequence[Example], encodings: Encodings) -> Any:
    import torch

    return {"labels": torch.tensor([example.target for example in examples])}


def _teach_score(examples: Sequence[Example], encodings: Encodings) -> Any:
    import torch

    return {"labels": torch.tensor([[example.target] for example in examples])}


def _teach_entities(examples: Sequence[Example], encodings: Encodings) -> Any:
    """Only the first piece of a word is taught, as is usual; what the others say is chance."""
    import torch

    rows = []
    for example, encoding in zip(examples, encodings, strict=True):
        row = [_IGNORED] * len(encoding.ids)
        for place, (start, _end) in enumerate(encoding.offsets):
            if encoding.sequence_ids[place] is None or encoding.tokens[place].startswith("##"):
                continue
            label = "O"
            for first, last, kind in example.target:
                if first <= start < last:
                    label = ("B-" if start == first else "I-") + kind
            row[place] = tiny_data.ENTITY_LABELS.index(label)
        rows.append(row)
    return {"labels": torch.tensor(rows)}


def _teach_span(examples: Sequence[Example], encodings: Encodings) -> Any:
    """No answer is taught as the first token, as in SQuAD 2."""
    import torch

    starts, ends = [], []
    for example, encoding in zip(examples, encodings, strict=True):
        start = end = 0
        if example.target is not None:
            for place, (first, last) in enumerate(encoding.offsets):
                if encoding.sequence_ids[place] == 1 and first == example.target[0]:
                    start = place
                if encoding.sequence_ids[place] == 1 and last == example.target[1]:
                    end = place
        starts.append(start)
        ends.append(end)
    return {"start_positions": torch.tensor(starts), "end_positions": torch.tensor(ends)}


def _right_index(output: Any, taught: Any) -> Any:
    return output.logits.argmax(-1) == taught["labels"]


def _right_score(output: Any, taught: Any) -> Any:
    return ((output.logits > 0) == (taught["labels"] > 0))[:, 0]


def _right_entities(output: Any, taught: Any) -> Any:
    labels = taught["labels"]
    return ((output.logits.argmax(-1) == labels) | (labels == _IGNORED)).all(-1)


def _right_span(output: Any, taught: Any) -> Any:
    starts = output.start_logits.argmax(-1) == taught["start_positions"]
    return starts & (output.end_logits.argmax(-1) == taught["end_positions"])


_CLASSES = "BertForSequenceClassification"
RECIPES = {
    "sentiment": Recipe(
        tiny_data.sentiment, _CLASSES, _teach_index, _right_index, tiny_data.SENTIMENTS
    ),
    "topic": Recipe(tiny_data.topic, _CLASSES, _teach_index, _right_index, tiny_data.TOPICS),
    "rerank": Recipe(tiny_data.rerank, _CLASSES, _teach_score, _right_score, ("LABEL_0",)),
    "ner": Recipe(
        tiny_data.entities,
        "BertForTokenClassification",
        _teach_entities,
        _right_entities,
        tiny_data.ENTITY_LABELS,
    ),
    "qa": Recipe(tiny_data.answer, "BertForQuestionAnswering", _teach_span, _right_span),
}


def _inputs(encodings: Encodings) -> Batch:
    import torch

    return {
        "input_ids": torch.tensor([encoding.ids for encoding in encodings]),
        "attention_mask": torch.tensor([encoding.attention_mask for encoding in encodings]),
        "token_type_ids": torch.tensor([encoding.type_ids for encoding in encodings]),
    }


def _model(recipe: Recipe, vocabulary: int) -> Any:
    import transformers

    config = transformers.BertConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=MAX_TOKENS,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.1,
        pad_token_id=0,
    )
    if recipe.labels:
        config.id2label = dict(enumerate(recipe.labels))
        config.label2id = {label: index for index, label in enumerate(recipe.labels)}
    return getattr(transformers, recipe.head)(config)


def train(name: str, folder: Path) -> float:
    """Train the model, write it to `folder`, and return its accuracy on unseen examples.

    Raises NotLearned when it stays below `ENOUGH`.
    """
    import torch

    recipe = RECIPES[name]
    tokenizer = _tokenizer()
    # Read anew below, so that a model learns on the same data in every run.
    drawn = list(tiny_data.examples(recipe.draw, 1, _HELD_OUT + 1))
    pool = _pool(recipe)
    held_out, training = pool[:_HELD_OUT], pool[_HELD_OUT:]
    assert drawn
    torch.manual_seed(1)
    model = _model(recipe, tokenizer.get_vocab_size())
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    draw = random.Random(1)

    def taught(chosen: Sequence[Example]) -> tuple[Batch, Any]:
        pairs = [
            example.text if example.pair is None else (example.text, example.pair)
            for example in chosen
        ]
        encodings = tokenizer.encode_batch(pairs)
        return _inputs(encodings), recipe.teach(chosen, encodings)

    accuracy = 0.0
    for step in range(1, _MAX_STEPS + 1):
        inputs, targets = taught(draw.sample(training, _BATCH))
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1.0, step / 50)
        if name == "rerank":
            logits = model(**inputs).logits
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets["labels"])
        else:
            loss = model(**inputs, **targets).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % _CHECK_EVERY == 0:
            inputs, targets = taught(held_out)
            with torch.inference_mode():
                accuracy = float(recipe.right(model(**inputs), targets).float().mean())
            if "-v" in sys.argv:
                print(step, float(loss), accuracy, time.perf_counter())
            if accuracy >= 0.995:
                break
    if accuracy < ENOUGH:
        raise NotLearned(f"{name}: {accuracy:.3f} of unseen examples are right, not {ENOUGH}")
    return accuracy


def _pool(recipe):
    pool = list(tiny_data.examples(recipe.draw, 1, _HELD_OUT + _TRAINING))
    return pool


if __name__ == "__main__":
    import torch

    torch.set_num_threads(2)
    for name in sys.argv[1].split(","):
        t = time.perf_counter()
        try:
            print(name, train(name, None), time.perf_counter() - t)
        except Exception as e:
            print(repr(e), time.perf_counter() - t)
