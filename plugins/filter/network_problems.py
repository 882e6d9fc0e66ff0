# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: network_problems
short_description: List what is wrong with a list of networks
version_added: 0.1.0
description:
  - Networks must be in CIDR form and overlap nowhere. They must be written as programs print them,
    as C(192.0.2.7/32) and C(2001:db8::/32), so that rules can be compared with what is loaded.
positional: everybody
options:
  _input:
    description: The networks.
    type: list
    elements: str
    required: true
  everybody:
    description: Whether a network of all addresses may be among them.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Refuse networks that overlap
  ansible.builtin.assert:
    that: problems | length == 0
    fail_msg: "{{ problems | join('; ') }}"
  vars:
    problems: "{{ ['192.0.2.0/24', '192.0.2.7/32'] | modelops.serving.network_problems }}"
"""

RETURN = r"""
_value:
  description: The problems, each with its remedy; an empty list if there is none.
  type: list
  elements: str
"""

from typing import Any

from ansible_collections.modelops.serving.plugins.module_utils._networks import network_problems


class FilterModule:
    """The filter plugin."""

    def filters(self) -> dict[str, Any]:
        return {"network_problems": network_problems}
