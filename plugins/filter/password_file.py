# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: password_file
short_description: Render the passwords of C(basic_auth) as the file that Nginx reads
version_added: 0.1.0
description:
  - Each password becomes SHA-512 in the form of crypt(3), which every distribution's Nginx takes.
  - With O(current) the same passwords render the same file; a new password gets a new salt.
positional: service, current
options:
  _input:
    description: What C(model_service_secrets) has for the service.
    type: dict
    required: true
  service:
    description: The service, complete, as P(modelops.serving.services#filter) returns it.
    type: dict
    required: true
  current:
    description: The file that the host has, if it has one.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Write the password file
  ansible.builtin.copy:
    content: "{{ secrets | modelops.serving.password_file(service, current) }}"
    dest: /etc/nginx/modelops-{{ service.name }}.htpasswd
    mode: "0640"
  no_log: true
"""

RETURN = r"""
_value:
  description: The file, one line for each name.
  type: str
"""

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.modelops.serving.plugins.module_utils._basic_auth import (
    password_file as render,
)


def password_file(secrets: Any, service: Any, current: str = "") -> str:
    """Return the file; what is wrong with the passwords is an error."""
    try:
        return render(service, secrets or {}, current)
    except ValueError as error:
        raise AnsibleFilterError(f"The passwords are wrong:\n{error}") from error


class FilterModule:
    """The filter plugin."""

    def filters(self) -> dict[str, Any]:
        return {"password_file": password_file}
