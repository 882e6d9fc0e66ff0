# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: domain_problems
short_description: List the domains of services that are nobody's, or somebody else's
version_added: 0.1.0
description:
  - Names below a reserved domain, such as C(example.com), are listed where the public certificate
    authority is asked for a certificate.
  - With O(own), names that lie below none of these domains are listed as well.
author:
  - The modelops.serving contributors
positional: own
options:
  _input:
    description: Complete services, as the filter P(modelops.serving.services#filter) returns them.
    type: list
    elements: dict
    required: true
  own:
    description: The domains that are yours. An empty list means that this is not checked.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Refuse domains of others
  ansible.builtin.assert:
    that: services.values() | modelops.serving.domain_problems(['models.example.org']) | length == 0
"""

RETURN = r"""
_value:
  description: One line for each problem, with the variable, its value and the remedy.
  type: list
  elements: str
"""

from typing import Any

from ansible_collections.modelops.serving.plugins.module_utils._domains import domain_problems


class FilterModule:
    """The filter plugin."""

    def filters(self) -> dict[str, Any]:
        return {"domain_problems": domain_problems}
