#!/usr/bin/python
# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_command
short_description: Put the command modelops-host on the host
version_added: 0.1.0
description:
  - Writes C(modelops-host), one file that needs only the system's Python. C(modelops-host check)
    compares a model snapshot with its manifest before a service starts, C(modelops-host verify)
    reads every snapshot of a store again.
  - The file is packed from the code that this module runs with, so that playbooks and the command
    never disagree. The same code gives the same bytes.
  - It starts with the interpreter that runs the module.
extends_documentation_fragment:
  - modelops.serving.attributes
options:
  dest:
    description: The path of the command.
    type: path
    default: /usr/local/lib/modelops/modelops-host
  state:
    description: Whether the command is there.
    type: str
    choices: [present, absent]
    default: present
author:
  - The modelops.serving contributors (@modelops)
"""

EXAMPLES = r"""
- name: Put the command on the host
  modelops.serving.host_command:

- name: Remove it
  modelops.serving.host_command:
    state: absent
"""

RETURN = r"""
path:
  description: The path of the command.
  type: str
  returned: success
sha256:
  description: The SHA-256 of the command.
  type: str
  returned: when O(state=present)
code:
  description: What went wrong, as a word that stays the same.
  returned: failure
  type: str
  sample: file_error
"""

import hashlib
import os
import stat
import sys

from ansible.module_utils.basic import AnsibleModule

# Imported so that Ansible brings it to the host, where it is packed
from ansible_collections.modelops.serving.plugins.module_utils import _host_command
from ansible_collections.modelops.serving.plugins.module_utils._files import (
    make_folders,
    remove_file,
    write_atomic,
)
from ansible_collections.modelops.serving.plugins.module_utils._module import run_module
from ansible_collections.modelops.serving.plugins.module_utils._zipapp import build, contents

MODE = 0o755


def work(module):
    path, present = module.params["dest"], module.params["state"] == "present"
    wanted = build(_host_command.__name__.rpartition(".")[2], sys.executable) if present else b""
    there, right = _look(path)
    changed = (there, right) != (wanted, True) if present else os.path.lexists(path)
    if changed and not module.check_mode:
        if present:
            make_folders(os.path.dirname(path))
            write_atomic(path, wanted, MODE)
        else:
            remove_file(path)
    result = {"changed": changed, "path": path}
    if present:
        result["sha256"] = hashlib.sha256(wanted).hexdigest()
    if module._diff:
        result["diff"] = {
            "before_header": path,
            "after_header": path,
            "before": contents(there) if there else "",
            "after": contents(wanted) if wanted else "",
        }
    return result


def _look(path):
    """Return the bytes at ``path``, and whether mode and owner are right."""
    if os.path.islink(path) or not os.path.isfile(path):
        return b"", False
    status = os.stat(path)
    with open(path, "rb") as stream:
        right = stat.S_IMODE(status.st_mode) == MODE and status.st_uid == os.geteuid()
        return stream.read(), right


def main():
    arguments = {
        "dest": {"type": "path", "default": "/usr/local/lib/modelops/modelops-host"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    }
    run_module(AnsibleModule(arguments, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
