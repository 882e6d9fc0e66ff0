# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: packed
short_description: Pack a folder of the controller for M(modelops.serving.service_release)
version_added: 0.1.0
description:
  - Returns a folder, under its own name, as a zip in base64; the same for the same files.
  - Byte code is left out.
options:
  _input:
    description: The folder on the controller.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Pack the server
  ansible.builtin.set_fact:
    server: "{{ '/srv/project/server' | modelops.serving.packed }}"
"""

RETURN = r"""
_value:
  description: The zip in base64.
  type: str
"""

import os
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.modelops.serving.plugins.module_utils._release import pack


def packed(folder: str) -> str:
    """Return the packed folder; a folder that is not there is an error."""
    if not os.path.isdir(folder):
        raise AnsibleFilterError(
            f"'{folder}' is no folder on the controller; name the folder of the server's code"
        )
    return pack(folder)


class FilterModule:
    """The filter plugin."""

    def filters(self) -> dict[str, Any]:
        return {"packed": packed}
