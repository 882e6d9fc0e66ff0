# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A tiny Llama, trained here until it answers its few prompts: a random one would prove nothing."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

ANSWERS = {
    "capital": "Paris is the capital.",
    "fruit": "苹果和香蕉都是水果。",
    "faces": "😀🤖👩‍🚀 done",
    "letters": "a b c d e f g h i j k l m n o p",
}
SYSTEM = "Be brief."
TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] not in ('system', 'user', 'assistant') %}"
    "{{ raise_exception('unknown role') }}{% endif %}"
    "{% if message['role'] == 'assistant' and loop.first %}"
    "{{ raise_exception('a conversation begins with the user') }}{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTEXT = 128
_LOSS = 0.01
_STEPS = 300


def train_tiny_chat(folder: Path) -> Path:
    """Write a snapshot that answers ANSWERS, with and without the system prompt."""
    tokenizer = _tokenizer()
    torch.set_num_threads(1)
    torch.manual_seed(5)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    ids, labels = _examples(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _step in range(_STEPS):
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < _LOSS:
            break
    assert loss.item() < 0.05, f"the tiny model did not learn: {loss.item()}"
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    """One token for each byte, so that characters beyond ASCII take several."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_only = Tokenizer(models.BPE({letter: n for n, letter in enumerate(alphabet)}, []))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_only, eos_token="<|im_end|>", pad_token="<|pad|>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def _examples(tokenizer: PreTrainedTokenizerFast) -> tuple[torch.Tensor, torch.Tensor]:
    rows = []
    for question, answer in ANSWERS.items():
        for before in ([], [{"role": "system", "content": SYSTEM}]):
            asked = [*before, {"role": "user", "content": question}]
            prompt = tokenizer.apply_chat_template(
                asked, tokenize=False, add_generation_prompt=True
            )
            known = tokenizer(prompt, add_special_tokens=False)["input_ids"]
            wanted = tokenizer(f"{answer}<|im_end|>", add_special_tokens=False)["input_ids"]
            rows.append((known, wanted))
    width = max(len(known) + len(wanted) for known, wanted in rows)
    ids = torch.full((len(rows), width), tokenizer.pad_token_id)
    labels = torch.full((len(rows), width), -100)
    for row, (known, wanted) in enumerate(rows):
        end = len(known) + len(wanted)
        ids[row, :end] = torch.tensor([*known, *wanted])
        labels[row, len(known) : end] = torch.tensor(wanted)
    return ids, labels
