# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Tiny models that truly solve a toy task: trained here, in seconds, on made-up data.

They are small (two layers), but ordinary snapshots: `config.json`, `model.safetensors` and a
tokenizer. A model that does not answer 98 % of unseen examples rightly is not written.

    python tests/server/models/tiny_models.py FOLDER [NAME...]

writes FOLDER/NAME/ for each name, or for all.
"""

from __future__ import annotations

import argparse
import random
import string
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tiny_data
from tiny_data import Draw, Example

if TYPE_CHECKING:
    import torch
    from tokenizers import Encoding, Tokenizer

MAX_TOKENS = 128
ENOUGH = 0.98
_GOAL = 0.99
_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_TRAINING, _HELD_OUT, _BATCH = 3000, 300, 64
_MAX_STEPS, _CHECK_EVERY, _WARM_UP, _RATE = 1500, 50, 50, 2e-3
_HIDDEN, _SPREAD, _WAVELENGTHS = 64, 0.15, 30.0
_IGNORED = -100

Encodings = Sequence["Encoding"]
Tensors = dict[str, "torch.Tensor"]


class NotLearned(Exception):
    """A model did not reach its accuracy."""


@dataclass(frozen=True)
class Recipe:
    """How a tiny model is made: its data, its head, what it is taught and how it is judged.

    `teach` gives the tensors that the model takes beside its inputs, `right` says of each example
    whether the output agrees with them. `order` is how much positions weigh in the beginning.
    """

    draw: Draw
    head: str
    teach: Callable[[Sequence[Example], Encodings], Tensors]
    right: Callable[[Any, Tensors], torch.Tensor]
    labels: tuple[str, ...] = ()
    problem: str | None = None
    order: float = 1.0


def _tokenizer() -> Tokenizer:
    """Words and signs of the toy worlds; other words fall into letters."""
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
    return tokenizer


def _teach_index(examples: Sequence[Example], encodings: Encodings) -> Tensors:
    import torch

    return {"labels": torch.tensor([example.target for example in examples])}


def _teach_score(examples: Sequence[Example], encodings: Encodings) -> Tensors:
    import torch

    return {"labels": torch.tensor([[example.target] for example in examples])}


def _teach_entities(examples: Sequence[Example], encodings: Encodings) -> Tensors:
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


def _teach_span(examples: Sequence[Example], encodings: Encodings) -> Tensors:
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


def _right_index(output: Any, taught: Tensors) -> torch.Tensor:
    return output.logits.argmax(-1) == taught["labels"]


def _right_score(output: Any, taught: Tensors) -> torch.Tensor:
    return ((output.logits > 0) == (taught["labels"] > 0))[:, 0]


def _right_entities(output: Any, taught: Tensors) -> torch.Tensor:
    labels = taught["labels"]
    return ((output.logits.argmax(-1) == labels) | (labels == _IGNORED)).all(-1)


def _right_span(output: Any, taught: Tensors) -> torch.Tensor:
    starts = output.start_logits.argmax(-1) == taught["start_positions"]
    return starts & (output.end_logits.argmax(-1) == taught["end_positions"])


_CLASSES = "BertForSequenceClassification"
RECIPES = {
    "sentiment": Recipe(
        tiny_data.sentiment, _CLASSES, _teach_index, _right_index, tiny_data.SENTIMENTS
    ),
    "topic": Recipe(tiny_data.topic, _CLASSES, _teach_index, _right_index, tiny_data.TOPICS),
    "rerank": Recipe(
        tiny_data.rerank,
        _CLASSES,
        _teach_score,
        _right_score,
        ("LABEL_0",),
        problem="multi_label_classification",
    ),
    "ner": Recipe(
        tiny_data.entities,
        "BertForTokenClassification",
        _teach_entities,
        _right_entities,
        tiny_data.ENTITY_LABELS,
    ),
    "qa": Recipe(tiny_data.answer, "BertForQuestionAnswering", _teach_span, _right_span, order=3.0),
}


def _model(recipe: Recipe, vocabulary: int) -> Any:
    import torch
    import transformers

    config = transformers.BertConfig(
        vocab_size=vocabulary,
        hidden_size=_HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * _HIDDEN,
        max_position_embeddings=MAX_TOKENS,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=_SPREAD,
    )
    if recipe.labels:
        config.id2label = dict(enumerate(recipe.labels))
        config.label2id = {label: index for index, label in enumerate(recipe.labels)}
    config.problem_type = recipe.problem
    model = getattr(transformers, recipe.head)(config)
    # Two beginnings that make learning quick: waves as positions, so that neighbours are alike, and
    # equal queries and keys, so that a token looks at its like.
    steps = torch.arange(MAX_TOKENS)[:, None] * _WAVELENGTHS ** -torch.linspace(0, 1, _HIDDEN // 2)
    with torch.no_grad():
        waves = torch.cat((torch.sin(steps), torch.cos(steps)), dim=1)
        model.bert.embeddings.position_embeddings.weight.copy_(recipe.order * _SPREAD * waves)
        for layer in model.bert.encoder.layer:
            layer.attention.self.key.weight.copy_(layer.attention.self.query.weight)
    return model


def _batch(recipe: Recipe, tokenizer: Tokenizer, chosen: Sequence[Example]) -> tuple[Tensors, ...]:
    """Inputs of the model, and what it is taught."""
    import torch

    encodings = tokenizer.encode_batch(
        [one.text if one.pair is None else (one.text, one.pair) for one in chosen]
    )
    inputs = {
        "input_ids": torch.tensor([encoding.ids for encoding in encodings]),
        "attention_mask": torch.tensor([encoding.attention_mask for encoding in encodings]),
        "token_type_ids": torch.tensor([encoding.type_ids for encoding in encodings]),
    }
    return inputs, recipe.teach(chosen, encodings)


def _learn(recipe: Recipe, tokenizer: Tokenizer) -> tuple[Any, float]:
    """Train a model; return it with its accuracy on unseen examples."""
    import torch

    torch.manual_seed(1)
    model = _model(recipe, tokenizer.get_vocab_size())
    examples = list(tiny_data.examples(recipe.draw, 1, _HELD_OUT + _TRAINING))
    unseen, unseen_taught = _batch(recipe, tokenizer, examples[:_HELD_OUT])
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / _WARM_UP)
    )
    draw = random.Random(1)
    accuracy = 0.0
    for step in range(1, _MAX_STEPS + 1):
        inputs, taught = _batch(recipe, tokenizer, draw.sample(examples[_HELD_OUT:], _BATCH))
        optimizer.zero_grad()
        model(**inputs, **taught).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % _CHECK_EVERY == 0:
            with torch.inference_mode():
                right = recipe.right(model(**unseen), unseen_taught)
            accuracy = float(right.float().mean())
            if accuracy >= _GOAL:
                break
    return model, accuracy


def train(name: str, folder: Path) -> float:
    """Train a model, write it to `folder`, and return its accuracy on unseen examples.

    Raises NotLearned when that stays below `ENOUGH`.
    """
    import torch
    from transformers import PreTrainedTokenizerFast, logging

    logging.disable_progress_bar()
    tokenizer = _tokenizer()
    tokenizer.enable_padding(pad_id=0)
    threads = torch.get_num_threads()
    # The order of a sum depends on the number of threads, and with it what is learned.
    torch.set_num_threads(1)
    try:
        model, accuracy = _learn(RECIPES[name], tokenizer)
    finally:
        torch.set_num_threads(threads)
    if accuracy < ENOUGH:
        raise NotLearned(f"{name}: {accuracy:.3f} of unseen examples are right, not {ENOUGH}")
    model.config.problem_type = None
    model.save_pretrained(folder)
    tokenizer.no_padding()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=MAX_TOKENS,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    ).save_pretrained(folder)
    return accuracy


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the models that are named, or all."""
    parser = argparse.ArgumentParser(description="Train tiny models on made-up data.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(RECIPES))
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(RECIPES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(RECIPES)}")
    for name in options.names or RECIPES:
        started = time.perf_counter()
        accuracy = train(name, options.folder / name)
        print(f"{name}: {accuracy:.3f} right, {time.perf_counter() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()
