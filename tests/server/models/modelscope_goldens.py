# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A tiny model in the form of ModelScope's GTE, and what ModelScope's own pipeline makes of texts.

The model is drawn by numpy from a fixed seed, so that two environments have the same. As a command
it needs an environment of its own (`requirements-modelscope.txt`):

    python tests/server/models/modelscope_goldens.py [FILE]

writes the vectors of `pipeline("sentence-embedding")`, with versions, to the file or anew to
`goldens/gte_pipeline.json`. `make goldens` does the latter; `make soak PART=modelscope` compares.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

GOLDENS = Path(__file__).resolve().parent / "goldens" / "gte_pipeline.json"
SEQUENCE_LENGTH = 512
_SEED, _HIDDEN, _LAYERS, _INNER = 20261128, 64, 3, 128
_PACKAGES = ("modelscope", "transformers", "torch", "numpy", "tokenizers")
_SIGNS = "天地人你我他好大小上下中国语文模型向量学习今日雨雪风云吃米饭面条火车机场，。？！"

TEXTS = (
    "吃完米饭可以吃面条吗？",
    "今天下大雨",
    "模型",
    "The weather is good today.",
    "中国语文，学习向量模型。" * 20,
    "云" * 700,
    "你好 \U0001f600 天地",
)


def _weights(vocabulary: int) -> dict[str, Any]:
    """Names of BERT without a head, in float32."""
    draw = np.random.default_rng(_SEED)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (vocabulary, _HIDDEN),
        "embeddings.position_embeddings.weight": (SEQUENCE_LENGTH, _HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, _HIDDEN),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(_LAYERS):
        base = f"encoder.layer.{layer}"
        linear = {
            **{f"attention.self.{name}": (_HIDDEN, _HIDDEN) for name in ("query", "key", "value")},
            "attention.output.dense": (_HIDDEN, _HIDDEN),
            "intermediate.dense": (_INNER, _HIDDEN),
            "output.dense": (_HIDDEN, _INNER),
        }
        for name, shape in linear.items():
            shapes[f"{base}.{name}.weight"] = shape
            shapes[f"{base}.{name}.bias"] = shape[:1]
        norms += [f"{base}.attention.output.LayerNorm", f"{base}.output.LayerNorm"]
    for norm in norms:
        shapes |= {f"{norm}.weight": (_HIDDEN,), f"{norm}.bias": (_HIDDEN,)}
    return {
        name: (draw.normal(scale=0.2, size=shape) + name.endswith("LayerNorm.weight")).astype("f4")
        for name, shape in shapes.items()
    }


def build(folder: Path, *, normalize: bool = True) -> str:
    """Write the snapshot, with its weights in both formats; return the SHA-256 of the numbers."""
    import torch
    from safetensors.torch import save_file

    letters = [chr(code) for code in range(33, 127)]
    pieces = [*_SIGNS, *letters, *(f"##{letter}" for letter in letters if letter.isalnum())]
    vocabulary = list(dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces]))
    arrays = _weights(len(vocabulary))
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": len(vocabulary),
        "hidden_size": _HIDDEN,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": 4,
        "intermediate_size": _INNER,
        "max_position_embeddings": SEQUENCE_LENGTH,
        "type_vocab_size": 2,
        "pad_token_id": 0,
    }
    configuration = {
        "framework": "pytorch",
        "task": "sentence-embedding",
        "model": {"type": "bert", "emb_pooler_type": "cls", "normalize": normalize},
        "pipeline": {"type": "sentence-embedding"},
    }
    tokenizer = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": True,
        "model_max_length": SEQUENCE_LENGTH,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    for name, content in (
        ("config.json", config),
        ("configuration.json", configuration),
        ("tokenizer_config.json", tokenizer),
    ):
        (folder / name).write_text(json.dumps(content, indent=2))
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    torch.save(tensors, folder / "pytorch_model.bin")
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(name.encode() + array.tobytes())
    return digest.hexdigest()


def ask_modelscope(snapshot: Path) -> list[list[float]]:
    """The vectors that ModelScope's pipeline gives for the texts."""
    from modelscope.pipelines import pipeline

    embed = pipeline(
        "sentence-embedding", model=str(snapshot), sequence_length=SEQUENCE_LENGTH, device="cpu"
    )
    answer = embed(input={"source_sentence": list(TEXTS)})
    vectors: list[list[float]] = answer["text_embedding"].tolist()
    return vectors


def main(file: Path) -> None:
    """Write the goldens to a file."""
    with tempfile.TemporaryDirectory() as folder:
        goldens: dict[str, Any] = {"sequence_length": SEQUENCE_LENGTH, "texts": list(TEXTS)}
        for normalize in (True, False):
            snapshot = Path(folder) / str(normalize)
            goldens["weights_sha256"] = build(snapshot, normalize=normalize)
            goldens["normalized" if normalize else "raw"] = ask_modelscope(snapshot)
    goldens["versions"] = {
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in _PACKAGES},
    }
    file.write_text(json.dumps(goldens, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {file}: {len(TEXTS)} texts")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else GOLDENS)
