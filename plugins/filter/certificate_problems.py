# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: certificate_problems
short_description: List what is wrong with the certificate files of a service
version_added: 0.1.0
description:
  - The key must be that of the certificate, which must be in force and hold each name of the
    service.
  - Needs the library C(cryptography), which comes with ansible-core. No message holds a part of
    the key.
author:
  - The modelops.serving contributors
positional: fullchain, privkey
options:
  _input:
    description: One complete service, as the filter P(modelops.serving.services#filter) returns it.
    type: dict
    required: true
  fullchain:
    description: The text of the certificate and those above it, in PEM form.
    type: str
    required: true
  privkey:
    description: The text of the key, in PEM form.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse a certificate that has expired
  ansible.builtin.assert:
    that: services.minilm | modelops.serving.certificate_problems(fullchain, privkey) | length == 0
  vars:
    fullchain: "{{ lookup('ansible.builtin.file', 'minilm.pem') }}"
    privkey: "{{ lookup('ansible.builtin.file', 'minilm.key') }}"
"""

RETURN = r"""
_value:
  description: One line for each problem, with the variable, its value and the remedy.
  type: list
  elements: str
"""

from typing import Any

from ansible_collections.modelops.serving.plugins.plugin_utils.certificates import (
    certificate_problems,
)


class FilterModule:
    """The filter plugin."""

    def filters(self) -> dict[str, Any]:
        return {"certificate_problems": certificate_problems}
