# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a model can do, and which engine computes it: read from its files, never guessed.

The class in ``architectures`` of config.json says which head was trained (transformers,
modeling_auto.py); a model without a head gives states, which serve as embeddings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ._errors import ModelError
from ._metadata import gguf_models

TASKS = (
    "embedding",
    "rerank",
    "classification",
    "token_classification",
    "question_answering",
    "chat",
)
ENGINES = ("transformers", "llama_cpp", "upstream")

# A sequence classifier is told apart by its labels, see offered_tasks.
_SEQUENCE = "ForSequenceClassification"
_HEADS = {
    "ForTokenClassification": "token_classification",
    "ForQuestionAnswering": "question_answering",
    "ForCausalLM": "chat",
    "LMHeadModel": "chat",
}
_BODIES = ("Model", "ForMaskedLM", "ForPreTraining")
# Encoders among general.architecture of GGUF files (llama.cpp, llama-arch.cpp); they don't chat.
_GGUF_ENCODERS = re.compile(r".*bert.*|t5encoder|gemma-embedding|llama-embed")


def offered_tasks(model: Mapping[str, Any], paths: Iterable[str]) -> tuple[str, ...]:
    """Return the tasks that a model was made for, the likeliest first.

    ``model`` is what ``_metadata.describe`` returns, ``paths`` are its files. A model that names no
    architecture offers embedding, since any model gives states.
    """
    if model.get("weights_format") == "gguf":
        return () if _GGUF_ENCODERS.fullmatch(str(model.get("model_type", ""))) else ("chat",)
    classes = [str(name) for name in model.get("architectures") or ["Model"]]
    if any(name.endswith(_SEQUENCE) for name in classes):
        labels = model.get("num_labels")
        # A lock of an earlier version doesn't say.
        if labels is None:
            return ("classification", "rerank")
        return ("rerank",) if labels == 1 else ("classification",)
    sentences = "modules.json" in paths or model.get("published_task") == "sentence-embedding"
    for name in classes:
        head = next((task for end, task in _HEADS.items() if name.endswith(end)), None)
        # An embedding model may be a trained text generator, which then no longer chats.
        if head is not None and not (head == "chat" and sentences):
            return (head,)
    bodied = any(name.endswith(_BODIES) for name in classes)
    return ("embedding",) if sentences or bodied else ()


def choose_task(declared: str, model: Mapping[str, Any], paths: Iterable[str]) -> str:
    """Return the task: the declared one, or for ``auto`` the model's own.

    Raises ``ModelError`` (``task_not_offered``) when the model can't do it.
    """
    offered = offered_tasks(model, paths)
    if declared == "auto" and offered:
        return offered[0]
    # A lock may say nothing about its model; the server then looks when it starts.
    told = "architectures" in model or model.get("weights_format") == "gguf"
    if declared in offered or (declared != "auto" and not told):
        return declared
    wanted = "any task that is served here" if declared == "auto" else declared
    shown = " and ".join(offered) or "none that is served here"
    remedy = f"Declare task: {offered[0]}, or choose" if offered else "Choose"
    raise ModelError(
        f"The model is a {_shown(model)} without a head for {wanted}; it offers {shown}. {remedy} "
        "a model trained for it.",
        "task_not_offered",
        task=declared,
        offered=list(offered),
    )


def choose_engine(declared: str, task: str, model: Mapping[str, Any]) -> str:
    """Return the engine: the declared one, or for ``auto`` the one that loads the weights.

    Raises ``ModelError`` (``invalid_option``) when it cannot load them, or not for this task.
    """
    fitting = "llama_cpp" if model.get("weights_format") == "gguf" else "transformers"
    if declared not in ("auto", fitting):
        raise ModelError(
            f"engine.name is {declared}, but the model's weights are {model.get('weights_format')} "
            f"and its task is {task}, which {fitting} computes: set engine.name to auto, or choose "
            "other weights by include and exclude.",
            "invalid_option",
        )
    return fitting


def weights_for(engine: str, file: str, sizes: Mapping[str, int]) -> dict[str, int]:
    """Return the files, without those weights that ``engine`` or ``file`` rule out.

    Of several GGUF files one must be named. Raises ``ModelError`` (``invalid_option``).
    """
    found = sorted(path for path in sizes if path.endswith(".gguf"))
    if engine == "transformers" or not found:
        if file:
            raise ModelError(
                f"engine.file is '{file}', but the model has no such GGUF file; leave it out.",
                "invalid_option",
            )
        return dict(sizes)
    others = [path for path in sizes if path.endswith(".safetensors")]
    if engine == "auto" and others and not file:
        return dict(sizes)
    models = gguf_models(found)
    if file not in models if file else len(models) > 1:
        raise ModelError(
            f"engine.file is '{file}', but the model's GGUF files are {', '.join(models)}; name "
            "one of them.",
            "invalid_option",
            files=list(models),
        )
    kept = models[file or found[0]]
    dropped = {*others, *found} - set(kept)
    return {path: size for path, size in sizes.items() if path not in dropped}


def _shown(model: Mapping[str, Any]) -> str:
    if model.get("weights_format") == "gguf":
        return f"{model.get('model_type', 'GGUF')} model"
    name = str((model.get("architectures") or ["model"])[0])
    labels = model.get("num_labels")
    return name if labels is None else f"{name} ({labels} label{'s' if labels != 1 else ''})"
