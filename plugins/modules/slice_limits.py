#!/usr/bin/python
# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slice_limits
short_description: Derive the limits of the systemd slices in which services run
version_added: 0.1.0
description:
  - Returns what C(modelops.slice), which holds all services of a host, and the slice of each
    service below it may use. Each value has its reason.
  - Changes nothing. Refuses limits that the host cannot grant.
extends_documentation_fragment:
  - modelops.serving.attributes
  - modelops.serving.attributes.info
options:
  services:
    description: The services, as the filter P(modelops.serving.services#filter) returns them.
    type: list
    elements: dict
    default: []
  plans:
    description:
      - By service, a mapping whose C(limits) hold C(memory_max_bytes) and C(tasks_max) of the plan
        that M(modelops.serving.model_plan) returned.
    type: dict
    default: {}
  overrides:
    description:
      - By service, what is set instead, each optional. C(memory_max), C(memory_high) and
        C(memory_swap_max) are bytes, or with the unit K, M, G or T; C(cpu_quota_percent) is 100 for
        one CPU; C(allowed_cpus) are numbers of CPUs such as V(0-3); C(tasks_max) is a number.
    type: dict
    default: {}
  reserve:
    description:
      - What stays for the system, in bytes or with the unit K, M, G or T.
      - With V(auto) a tenth of the memory, and at least 256 MiB.
    type: str
    default: auto
  slots:
    description: How many slots of a service may run at once.
    type: int
    default: 1
author:
  - The modelops.serving contributors (@modelops)
seealso:
  - module: modelops.serving.model_plan
"""

EXAMPLES = r"""
- name: Derive the limits of one service
  modelops.serving.slice_limits:
    services:
      - name: minilm
        slice: modelops-minilm.slice
        resources: {memory: 2G, cpus: auto}
  register: limits
"""

RETURN = r"""
slices:
  description: The slices, C(modelops.slice) first.
  type: list
  elements: dict
  returned: success
  contains:
    unit:
      description: The name of the unit.
      type: str
    service:
      description: The service, empty for C(modelops.slice).
      type: str
    settings:
      description: The settings of its section C(Slice).
      type: list
      elements: dict
      contains:
        name:
          description: The name, such as C(MemoryMax).
          type: str
        value:
          description: The value.
          type: str
        reason:
          description: Why, in a sentence or two.
          type: str
code:
  description: Why there are no limits. V(insufficient_memory) or V(invalid_option).
  type: str
  returned: failure
  sample: insufficient_memory
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._fields import size_or_auto
from ansible_collections.modelops.serving.plugins.module_utils._host import read_host
from ansible_collections.modelops.serving.plugins.module_utils._module import run_module
from ansible_collections.modelops.serving.plugins.module_utils._slices import decide


def flat(service):
    """Return what of a service decides about its slice."""
    resources = service.get("resources") or {}
    return {
        "name": service["name"],
        "slice": service["slice"],
        "memory": resources.get("memory", "auto"),
        "cpus": resources.get("cpus", "auto"),
    }


def size(option, value):
    """Return a size in bytes, or None for auto."""
    try:
        checked = size_or_auto().check(value)
    except ValueError as error:
        raise ModelError(f"{option} is '{value}': {error}.", "invalid_option") from None
    return None if checked == "auto" else checked


def work(module):
    params = module.params
    services = []
    for service in map(flat, params["services"]):
        where = f"model_services.{service['name']}.resources.memory"
        services.append({**service, "memory": size(where, service["memory"]) or "auto"})
    slices, warnings = decide(
        read_host(),
        services,
        {name: plan.get("limits") or {} for name, plan in params["plans"].items()},
        params["overrides"],
        size("limits_reserve", params["reserve"]),
        params["slots"],
    )
    for warning in warnings:
        module.warn(warning)
    return {"changed": False, "slices": [asdict(item) for item in slices]}


def main():
    arguments = {
        "services": {"type": "list", "elements": "dict", "default": []},
        "plans": {"type": "dict", "default": {}},
        "overrides": {"type": "dict", "default": {}},
        "reserve": {"type": "str", "default": "auto"},
        "slots": {"type": "int", "default": 1},
    }
    run_module(AnsibleModule(arguments, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
