# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: services
short_description: Merge, check and complete the declaration of services
version_added: 0.1.0
description:
  - Lays C(model_services_overrides) over C(model_services) key by key, checks every value and
    completes what is not given.
  - Every role of the collection reads its services through this filter.
  - A domain V(sslip) becomes a name of the variable C(modelops_public_address), or else of the
    address of the host's default route.
  - An unknown key is refused and the nearest known one named. All problems are reported together.
extends_documentation_fragment:
  - modelops.serving.declaration
positional: overrides, locks, project_root, resolve
options:
  resolve:
    description:
      - Whether lock and signature files are read. If not, C(model.lock) and C(model.signature) stay
        as they are declared, and their files need not exist.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Show the complete declaration
  ansible.builtin.debug:
    msg: "{{ model_services | modelops.serving.services(model_services_overrides) }}"
"""

RETURN = r"""
_value:
  description: The complete services by name; every key is present.
  type: dict
"""

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.modelops.serving.plugins.module_utils._declaration import DeclarationError
from ansible_collections.modelops.serving.plugins.plugin_utils.declaration import complete_services
from jinja2 import pass_context


@pass_context
def services(
    variables: Any,
    declared: Any,
    overrides: Any = None,
    locks: Any = None,
    project_root: str = ".",
    resolve: bool = True,
) -> dict[str, Any]:
    """Return the complete services, or raise one error that lists every problem."""
    try:
        return complete_services(variables, declared, overrides, locks, project_root, resolve)
    except DeclarationError as error:
        raise AnsibleFilterError(f"The declaration is wrong:\n{error}") from error


class FilterModule:
    """The filter plugin."""

    def filters(self) -> dict[str, Any]:
        return {"services": services}
