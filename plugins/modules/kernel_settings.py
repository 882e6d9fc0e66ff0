#!/usr/bin/python
# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_settings
short_description: Keep settings of the kernel in a file of sysctl.d, and in force
version_added: 0.1.0
description:
  - Writes one file, a reason beside each setting, and sets at once what the host lets be set.
  - What cannot be set, as in a container whose C(/proc/sys) is read-only, is returned and warned
    of, and is no change on the next run.
  - A setting that this kernel does not have is left out of the file.
extends_documentation_fragment:
  - modelops.serving.attributes
options:
  path:
    description: The file.
    type: path
    required: true
  settings:
    description:
      - By name, C(value) and C(reason). With C(least) true, a higher value that the host has stays.
    type: dict
    default: {}
  overrides:
    description: By name, values that come first. V(null) leaves a setting out.
    type: dict
    default: {}
author:
  - The modelops.serving contributors (@modelops)
"""

EXAMPLES = r"""
- name: Let more connections wait
  modelops.serving.kernel_settings:
    path: /etc/sysctl.d/60-modelops.conf
    settings:
      net.core.somaxconn:
        value: 4096
        least: true
        reason: Connections that wait to be accepted.
"""

RETURN = r"""
written:
  description: Whether the file was written.
  type: bool
  returned: success
applied:
  description: Names of what was set at once.
  type: list
  elements: str
  returned: success
unapplied:
  description: What is in the file, but not in force; with C(name), C(value), C(live) and C(why).
  type: list
  elements: dict
  returned: success
missing:
  description: Names that this kernel does not have.
  type: list
  elements: str
  returned: success
code:
  description: Why it failed. V(invalid_option) or V(file_error).
  type: str
  returned: failure
  sample: invalid_option
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.modelops.serving.plugins.module_utils._kernel import ensure, merged
from ansible_collections.modelops.serving.plugins.module_utils._module import run_module


def work(module):
    settings = merged(module.params["settings"], module.params["overrides"])
    outcome = ensure(module.params["path"], settings, module.check_mode)
    for item in outcome.unapplied:
        module.warn(f"{item['name']} stays {item['live']}, not {item['value']}: {item['why']}.")
    for name in outcome.missing:
        module.warn(f"{name} is left out, since this kernel does not have it.")
    result = asdict(outcome)
    before, after = result.pop("before"), result.pop("after")
    header = module.params["path"]
    diff = {"before_header": header, "after_header": header, "before": before, "after": after}
    return {"changed": bool(outcome.written or outcome.applied), "diff": diff, **result}


def main():
    arguments = {
        "path": {"type": "path", "required": True},
        "settings": {"type": "dict", "default": {}},
        "overrides": {"type": "dict", "default": {}},
    }
    run_module(AnsibleModule(arguments, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
