# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: service_problems
short_description: List what is wrong with the declaration of services
version_added: 0.1.0
description:
  - Does what P(modelops.serving.services#filter) does, and returns the problems instead of failing.
  - Also checks the secrets that each service needs. No message holds a secret.
extends_documentation_fragment:
  - modelops.serving.declaration
positional: overrides, locks, project_root, secrets
options:
  secrets:
    description: The mapping C(model_service_secrets).
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Refuse a wrong declaration
  ansible.builtin.assert:
    that: model_services | modelops.serving.service_problems | length == 0
"""

RETURN = r"""
_value:
  description: One line for each problem, with the variable, its value and the remedy.
  type: list
  elements: str
"""

from typing import Any

from ansible_collections.modelops.serving.plugins.module_utils._declaration import (
    DeclarationError,
)
from ansible_collections.modelops.serving.plugins.module_utils._secrets import secret_problems
from ansible_collections.modelops.serving.plugins.plugin_utils.declaration import complete_services
from jinja2 import pass_context


@pass_context
def service_problems(
    variables: Any,
    declared: Any,
    overrides: Any = None,
    locks: Any = None,
    project_root: str = ".",
    secrets: Any = None,
) -> list[str]:
    """Return the problems, each with variable, value and remedy."""
    try:
        return secret_problems(
            complete_services(variables, declared, overrides, locks, project_root), secrets or {}
        )
    except DeclarationError as error:
        return error.problems


class FilterModule:
    """The filter plugin."""

    def filters(self) -> dict[str, Any]:
        return {"service_problems": service_problems}
