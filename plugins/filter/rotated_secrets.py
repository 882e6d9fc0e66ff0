# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: rotated_secrets
short_description: Put new secrets in the place of old ones
version_added: 0.1.0
description:
  - Makes new signing keys, API keys, conversation keys and audit keys for those that are older than
    O(after_days), and keeps the ones before them for as long as they are needed.
  - Each evaluation makes other keys. Keep the result in a fact, with C(no_log).
positional: services
options:
  _input:
    description: The mapping C(model_service_secrets).
    type: dict
    required: true
  services:
    description: The services, complete, as P(modelops.serving.services#filter) returns them.
    type: dict
    required: true
  after_days:
    description: How old a secret may be, in days. One of which nobody knows counts as older.
    type: int
    default: 90
  overlap_days:
    description: How long an API key that was replaced stays valid, in days.
    type: int
    default: 7
  everything:
    description: Whether all are rotated, whatever their age.
    type: bool
    default: false
  kinds:
    description: What is rotated.
    type: list
    elements: str
    choices: [signing_keys, api_keys, conversation_keys, audit_key]
    default: [signing_keys, api_keys, conversation_keys, audit_key]
"""

EXAMPLES = r"""
- name: Rotate what is older than a quarter
  ansible.builtin.set_fact:
    rotated: "{{ model_service_secrets | modelops.serving.rotated_secrets(services) }}"
  no_log: true
"""

RETURN = r"""
_value:
  description:
    - C(secrets), the mapping after the rotation, and C(report), a row with C(service), C(kind),
      C(name), C(age_days) and C(rotated) for each secret.
  type: dict
"""

from datetime import datetime, timedelta, timezone
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.modelops.serving.plugins.module_utils._rotation import (
    KINDS,
    Rules,
    rotate,
)


def rotated_secrets(
    secrets: Any,
    services: Any,
    after_days: int = 90,
    overlap_days: int = 7,
    everything: bool = False,
    kinds: Any = KINDS,
) -> dict[str, Any]:
    """Return the secrets and the report."""
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise AnsibleFilterError(f"kinds has {', '.join(unknown)}: choose from {', '.join(KINDS)}")
    now = datetime.now(timezone.utc).replace(microsecond=0)
    rules = Rules(
        now, timedelta(days=after_days), timedelta(days=overlap_days), everything, tuple(kinds)
    )
    rotated, report = dict(secrets), []
    for name, service in services.items():
        try:
            own, rows = rotate(secrets.get(name) or {}, service, rules)
        except ValueError as error:
            raise AnsibleFilterError(f"The secrets of {name} are wrong: {error}") from error
        if any(row["rotated"] for row in rows):
            rotated[name] = own
        report += [{"service": name, **row} for row in rows]
    return {"secrets": rotated, "report": report}


class FilterModule:
    """The filter plugin."""

    def filters(self) -> dict[str, Any]:
        return {"rotated_secrets": rotated_secrets}
