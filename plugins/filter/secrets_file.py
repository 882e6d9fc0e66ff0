# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: secrets_file
short_description: Render the secrets of a service as the file that its unit loads
version_added: 0.1.0
description:
  - API keys become SHA-256, passwords scrypt. The same input always renders the same file.
positional: service, audit_key
options:
  _input:
    description: What C(model_service_secrets) has for the service.
    type: dict
    required: true
  service:
    description: The service, complete, as P(modelops.serving.services#filter) returns it.
    type: dict
    required: true
  audit_key:
    description: The host's own key for hashes in the audit log, taken where the secrets have none.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Write the secrets
  ansible.builtin.copy:
    content: "{{ model_service_secrets[service.name] | modelops.serving.secrets_file(service) }}"
    dest: /etc/modelops/services/{{ service.name }}/credentials/secrets.json
    mode: "0600"
  no_log: true
"""

RETURN = r"""
_value:
  description: JSON text.
  type: str
"""

import json
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.modelops.serving.plugins.module_utils._secrets import render_secrets


def secrets_file(secrets: Any, service: Any, audit_key: str = "") -> str:
    """Return the file as JSON text."""
    try:
        rendered = render_secrets(service, secrets or {}, audit_key)
    except ValueError as error:
        raise AnsibleFilterError(f"The secrets of {service['name']} are wrong: {error}") from error
    return json.dumps(rendered, indent=2, sort_keys=True) + "\n"


class FilterModule:
    """The filter plugin."""

    def filters(self) -> dict[str, Any]:
        return {"secrets_file": secrets_file}
