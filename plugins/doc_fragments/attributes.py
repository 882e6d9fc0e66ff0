# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes that all modules of the collection have."""

from __future__ import annotations


class ModuleDocFragment:
    """What C(extends_documentation_fragment: modelops.serving.attributes) adds."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and says what would change without changing anything.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing).
    support: full
  idempotent:
    description: When run twice in a row without changes outside, the second run changes nothing.
    support: full
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    description: Changes nothing, in C(check_mode) or not.
    support: full
  diff_mode:
    description: There is nothing to show; the module changes nothing.
    support: N/A
  idempotent:
    description: Changes nothing.
    support: full
"""
