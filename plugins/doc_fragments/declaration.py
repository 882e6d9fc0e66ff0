# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the filters that read the declaration."""

from __future__ import annotations


class ModuleDocFragment:
    """What C(extends_documentation_fragment: modelops.serving.declaration) adds."""

    DOCUMENTATION = r"""
options:
  _input:
    description: The mapping C(model_services).
    type: dict
    required: true
  overrides:
    description: The mapping C(model_services_overrides).
    type: dict
    default: {}
  locks:
    description: The mapping C(model_locks), from names to locks.
    type: dict
    default: {}
  project_root:
    description: The folder to which the paths of lock and signature files are relative.
    type: path
    default: .
"""
