#!/usr/bin/python
# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: model_prune
short_description: Remove old revisions of models, and leftovers of downloads that died
version_added: 0.1.0
description:
  - Removes revisions of models beyond the newest ones, and what downloads have left that were begun
    and not taken up again.
  - What a release of a service leads to stays, whether it is live or not, and so does what is
    protected and what another run works on. Such a place is skipped and named.
  - A clock that jumps never costs the newest revisions; what lies in the future has no age.
author:
  - The modelops.serving contributors (@modelops)
requirements:
  - Python 3.9 or later on the host, and nothing else
extends_documentation_fragment:
  - modelops.serving.attributes
options:
  store:
    description:
      - The folder of all snapshots.
    type: path
    default: /var/lib/modelops/models
  keep:
    description:
      - How many revisions of each model stay, the newest by the time of their sealing.
    type: int
    default: 2
  older_than_days:
    description:
      - Remove revisions beyond O(keep) only when they were sealed longer ago than this. V(0) means
        at once.
    type: int
    default: 0
  stale_days:
    description:
      - Remove what an unfinished download has left when nothing in it changed for so long.
    type: int
    default: 7
  protect:
    description:
      - Folders of snapshots that stay whatever their age.
    type: list
    elements: path
    default: []
  services:
    description:
      - The folder of all services. Snapshots to which one of their releases leads stay.
    type: path
    default: /opt/modelops/services
seealso:
  - module: modelops.serving.model_snapshot
  - module: modelops.serving.service_release
"""

EXAMPLES = r"""
- name: Keep two revisions of each model, and older ones for a month
  modelops.serving.model_prune:
    keep: 2
    older_than_days: 30

- name: Show what would go
  modelops.serving.model_prune:
    keep: 1
    protect: "{{ model_store_paths.values() }}"
  check_mode: true
  diff: true
"""

RETURN = r"""
removed:
  description: What was removed, or would be.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The folder.
      type: str
    reason:
      description: V(old) for a revision, V(stale) for what an unfinished download has left.
      type: str
    bytes:
      description:
        - What that freed. A file that another snapshot shares counts with the last one of them.
      type: int
kept:
  description: What stayed.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The folder.
      type: str
    reason:
      description:
        - V(newest) is among the newest O(keep), V(recent) too young, V(released) is what a release
          leads to, V(protected) is in O(protect), V(busy) is being worked on by another run.
      type: str
freed_bytes:
  description: The sum of what was freed.
  returned: success
  type: int
  sample: 83506384
code:
  description: What went wrong, as a word that stays the same.
  returned: failure
  type: str
  sample: invalid_option
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.modelops.serving.plugins.module_utils._arguments import STORE
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._module import run_module
from ansible_collections.modelops.serving.plugins.module_utils._prune import Rules, prune


def work(module):
    params = module.params
    for option in ("keep", "older_than_days", "stale_days"):
        if params[option] < 0:
            raise ModelError(f"{option} is {params[option]}; the least is 0.", "invalid_option")
    rules = Rules(
        now=time.time(),
        keep=params["keep"],
        older_than_days=params["older_than_days"],
        stale_days=params["stale_days"],
        protect=tuple(params["protect"]),
        services=params["services"],
    )
    pruned = prune(params["store"], rules, module.check_mode)
    result = pruned.to_dict()
    if module._diff:
        result["diff"] = pruned.diff(params["store"])
    return result


def main():
    arguments = {
        "store": {"type": "path", "default": STORE},
        "keep": {"type": "int", "default": 2},
        "older_than_days": {"type": "int", "default": 0},
        "stale_days": {"type": "int", "default": 7},
        "protect": {"type": "list", "elements": "path", "default": []},
        "services": {"type": "path", "default": "/opt/modelops/services"},
    }
    run_module(AnsibleModule(arguments, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
