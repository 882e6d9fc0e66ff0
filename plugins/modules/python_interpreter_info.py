#!/usr/bin/python
# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: python_interpreter_info
short_description: Report which of some Python interpreters are on the host
version_added: 0.1.0
description:
  - Asks each candidate for its version, ABI and platform. The interpreter that a server uses is
    chosen apart from the one that Ansible's modules use.
extends_documentation_fragment:
  - modelops.serving.attributes
  - modelops.serving.attributes.info
options:
  candidates:
    description: Interpreters, as paths or names on PATH, in the order of preference.
    type: list
    elements: str
    required: true
author:
  - The modelops.serving contributors (@modelops)
"""

EXAMPLES = r"""
- name: Find interpreters
  modelops.serving.python_interpreter_info:
    candidates: [python3.13, python3.11, python3]
"""

RETURN = r"""
interpreters:
  description: Those that are there, in the order of O(candidates).
  type: list
  elements: dict
  returned: always
  contains:
    path:
      description: Where it is.
      type: str
    version:
      description: Major and minor version, such as V(3.11).
      type: str
    abi:
      description: Its ABI, such as V(cpython-311-x86_64-linux-gnu).
      type: str
    key:
      description: The part of a lock's name that it decides, such as V(py311-x86_64).
      type: str
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.modelops.serving.plugins.module_utils._environment import (
    EnvironmentFailed,
    probe,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={"candidates": {"type": "list", "elements": "str", "required": True}},
        supports_check_mode=True,
    )
    try:
        found = [
            interpreter for interpreter in map(probe, module.params["candidates"]) if interpreter
        ]
    except EnvironmentFailed as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False,
        interpreters=[{**asdict(interpreter), "key": interpreter.key} for interpreter in found],
    )


if __name__ == "__main__":
    main()
