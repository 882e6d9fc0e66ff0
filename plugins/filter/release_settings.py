# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: release_settings
short_description: Make the settings of a release from declaration and plan
version_added: 0.1.0
description:
  - Returns what the option C(settings) of M(modelops.serving.service_release) takes.
positional: planned, snapshot, log_level
options:
  _input:
    description: The service, complete, as P(modelops.serving.services#filter) returns it.
    type: dict
    required: true
  planned:
    description: What M(modelops.serving.model_plan) returned.
    type: dict
    required: true
  snapshot:
    description: The folder of the model; for an upstream that of the service.
    type: path
    required: true
  log_level:
    description: How much the server tells.
    type: str
    default: info
"""

EXAMPLES = r"""
- name: Show the settings
  ansible.builtin.debug:
    msg: "{{ service | modelops.serving.release_settings(planned, snapshot) }}"
"""

RETURN = r"""
_value:
  description: The settings.
  type: dict
"""

from typing import Any

from ansible_collections.modelops.serving.plugins.module_utils._settings import release_settings


def settings(service: Any, planned: Any, snapshot: str, log_level: str = "info") -> dict[str, Any]:
    """Return the settings."""
    return release_settings(service, planned, snapshot, log_level)


class FilterModule:
    """The filter plugin."""

    def filters(self) -> dict[str, Any]:
        return {"release_settings": settings}
