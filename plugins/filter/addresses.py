# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: addresses
short_description: The public addresses of a preset with overrides
version_added: 0.1.0
description:
  - Returns the addresses of hubs, package indexes and certificate authorities of a preset.
  - They stand in one file of the collection, C(plugins/module_utils/_addresses.py).
positional: overrides
options:
  _input:
    description: The name of the preset, C(default) or C(china).
    type: str
    required: true
  overrides:
    description: Addresses by key that replace those of the preset; an empty one switches it off.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show the package index of the preset for China
  ansible.builtin.debug:
    msg: "{{ ('china' | modelops.serving.addresses).package_index }}"
"""

RETURN = r"""
_value:
  description: Addresses by key.
  type: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.modelops.serving.plugins.module_utils._addresses import addresses


def chosen(preset: str, overrides: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the addresses of ``preset``; for an unknown preset or key, say what there is."""
    try:
        return addresses(preset, overrides)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter plugin."""

    def filters(self) -> dict[str, Any]:
        return {"addresses": chosen}
