# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: service_routes
short_description: Say which paths the edge may route for a task
version_added: 0.1.0
description:
  - A service whose C(task) is C(auto) has no routes of its task until a plan says what its model
    does. This filter returns all routes of such a service.
  - Every other path is answered 404 by the edge itself.
author:
  - The modelops.serving contributors
positional: task
options:
  _input:
    description: One complete service, as the filter P(modelops.serving.services#filter) returns it.
    type: dict
    required: true
  task:
    description: What the model does, as C(model_server_plans) says.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the routes of a service
  ansible.builtin.debug:
    msg: "{{ services.minilm | modelops.serving.service_routes(model_server_plans.minilm.task) }}"
"""

RETURN = r"""
_value:
  description: The routes, each with path, match, methods and who may call it.
  type: list
  elements: dict
"""

from typing import Any

from ansible_collections.modelops.serving.plugins.module_utils._routes import routes_for


def service_routes(service: dict[str, Any], task: str) -> list[dict[str, Any]]:
    """Return the routes of ``service`` as one with the task ``task``."""
    return routes_for({**service, "task": task})


class FilterModule:
    """The filter plugin."""

    def filters(self) -> dict[str, Any]:
        return {"service_routes": service_routes}
