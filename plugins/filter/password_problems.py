# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: password_problems
short_description: List what is wrong with the passwords of C(basic_auth)
version_added: 0.1.0
description:
  - Each name needs a password, and each password a name. No message holds a password.
positional: secrets
options:
  _input:
    description: The services, complete, as P(modelops.serving.services#filter) returns them.
    type: dict
    required: true
  secrets:
    description: The mapping C(model_service_secrets).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Refuse names without a password
  ansible.builtin.assert:
    that: services | modelops.serving.password_problems(model_service_secrets) | length == 0
"""

RETURN = r"""
_value:
  description: One line for each problem, with the variable, its value and the remedy.
  type: list
  elements: str
"""

from typing import Any

from ansible_collections.modelops.serving.plugins.module_utils._basic_auth import (
    password_problems as find,
)


def password_problems(services: Any, secrets: Any) -> list[str]:
    """Return the problems of the services that are present."""
    present = [service for service in services.values() if service["state"] == "present"]
    return [line for one in present for line in find(one, secrets.get(one["name"]) or {})]


class FilterModule:
    """The filter plugin."""

    def filters(self) -> dict[str, Any]:
        return {"password_problems": password_problems}
