# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: mirrors
short_description: Give each mirror of a model its endpoint and its own token
version_added: 0.1.0
description:
  - Returns the mirrors that a service declares, ready for M(modelops.serving.model_snapshot).
  - A token goes with the mirrors whose endpoint has its host, and with no other.
positional: endpoints, tokens
options:
  _input:
    description: The list C(model.mirrors) of a complete service.
    type: list
    elements: dict
    required: true
  endpoints:
    description: Endpoints by source, for mirrors that name none.
    type: dict
    default: {}
  tokens:
    description: Tokens by host, or by C(host:port).
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show where a model may come from
  ansible.builtin.debug:
    msg: "{{ services.gte.model.mirrors | modelops.serving.mirrors(endpoints, tokens) }}"
"""

RETURN = r"""
_value:
  description: The mirrors, each with C(endpoint) and C(token).
  type: list
  elements: dict
"""

from typing import Any

from ansible_collections.modelops.serving.plugins.plugin_utils.declaration import reachable_mirrors


def mirrors(declared: Any, endpoints: Any = None, tokens: Any = None) -> list[dict[str, Any]]:
    """Return the mirrors with endpoint and token."""
    return reachable_mirrors(declared, endpoints or {}, tokens or {})


class FilterModule:
    """The filter plugin."""

    def filters(self) -> dict[str, Any]:
        return {"mirrors": mirrors}
