#!/usr/bin/python
# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: python_environment
short_description: Make or remove an immutable Python environment from a lock with hashes
version_added: 0.1.0
description:
  - The environment stands in a folder named by a digest of its lock, interpreter, ABI, platform
    and variant.
  - It counts as present only when its stamp, interpreter, ABI and an import check agree; else it
    is built anew.
  - Every package is installed by hash and as a wheel; nothing is compiled on the host.
extends_documentation_fragment:
  - modelops.serving.attributes
options:
  root:
    description: The folder that holds the environments.
    type: path
    default: /opt/modelops/environments
  interpreter:
    description: The Python interpreter, as a path or a name on PATH.
    type: str
    required: true
  lock:
    description: The text of a requirements file in which each package has its hashes.
    type: str
    required: true
  variant:
    description: What the lock was compiled for, such as C(cpu).
    type: str
    default: cpu
  imports:
    description: Modules that must be importable in the finished environment.
    type: list
    elements: str
    default: []
  index_url:
    description: The package index; empty leaves pip's own configuration in force.
    type: str
    default: ''
  extra_index_urls:
    description: Further package indexes.
    type: list
    elements: str
    default: []
  find_links:
    description: Folders of wheels on the host, or pages that link them.
    type: list
    elements: str
    default: []
  ca_bundle:
    description: The certificates that pip trusts; empty means its own.
    type: str
    default: ''
  proxy:
    description: The HTTP proxy that pip uses; empty means none, or what the environment says.
    type: str
    default: ''
  state:
    description: Whether the environment is there.
    type: str
    choices: [present, absent]
    default: present
author:
  - The modelops.serving contributors (@modelops)
"""

EXAMPLES = r"""
- name: Make the server's environment
  modelops.serving.python_environment:
    interpreter: python3.11
    lock: "{{ lookup('ansible.builtin.file', 'locks/py311-x86_64-cpu.txt') }}"
    imports: [flask, torch]
"""

RETURN = r"""
path:
  description: The folder of the environment.
  type: str
  returned: always
digest:
  description: The digest that names it.
  type: str
  returned: always
defect:
  description: Why the environment that was found could not be used; empty when it could.
  type: str
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.modelops.serving.plugins.module_utils._environment import (
    Environment,
    EnvironmentFailed,
    Index,
    probe,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "default": "/opt/modelops/environments"},
            "interpreter": {"type": "str", "required": True},
            "lock": {"type": "str", "required": True},
            "variant": {"type": "str", "default": "cpu"},
            "imports": {"type": "list", "elements": "str", "default": []},
            "index_url": {"type": "str", "default": ""},
            "extra_index_urls": {"type": "list", "elements": "str", "default": []},
            "find_links": {"type": "list", "elements": "str", "default": []},
            "ca_bundle": {"type": "str", "default": ""},
            "proxy": {"type": "str", "default": ""},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        interpreter = probe(given["interpreter"])
        if interpreter is None:
            raise EnvironmentFailed(
                f"No interpreter '{given['interpreter']}' on this host; install it or name another."
            )
        environment = Environment(
            given["root"], given["lock"], interpreter, given["variant"], given["imports"]
        )
        defect = environment.defect()
        wanted = given["state"] == "present"
        changed = bool(defect) if wanted else defect != "absent"
        if changed and not module.check_mode:
            if wanted:
                environment.build(
                    Index(
                        given["index_url"],
                        given["extra_index_urls"],
                        given["find_links"],
                        given["ca_bundle"],
                        given["proxy"],
                    )
                )
            else:
                environment.remove()
    except EnvironmentFailed as error:
        module.fail_json(msg=str(error))
    result = {
        "changed": changed,
        "path": environment.path,
        "digest": environment.digest,
        "defect": defect,
    }
    if changed and module._diff:
        result["diff"] = {
            "before": defect or "present",
            "after": given["state"],
            "before_header": environment.path,
            "after_header": environment.path,
        }
    module.exit_json(**result)


if __name__ == "__main__":
    main()
