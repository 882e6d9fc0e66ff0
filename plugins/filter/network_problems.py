# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: network_problems
short_description: List what is wrong with a list of networks
version_added: 0.1.0
description:
  - Networks stand in CIDR form, do not overlap, and none of them is everybody.
options:
  _input:
    description: The networks.
    type: list
    required: true
"""

EXAMPLES = r"""
- name: Refuse networks that overlap
  ansible.builtin.assert:
    that: ['192.0.2.0/24', '2001:db8::/32'] | modelops.serving.network_problems | length == 0
"""

RETURN = r"""
_value:
  description: What to do, or nothing.
  type: list
  elements: str
"""

from typing import Any

from ansible_collections.modelops.serving.plugins.module_utils._fields import networks


def network_problems(value: Any) -> list[str]:
    """Return the first problem, if there is one."""
    try:
        networks(value, everybody=False)
    except ValueError as error:
        return [str(error)]
    return []


class FilterModule:
    """The filter plugin."""

    def filters(self) -> dict[str, Any]:
        return {"network_problems": network_problems}
