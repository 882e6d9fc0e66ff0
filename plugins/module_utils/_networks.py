# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of networks for rules that other programs print again, and that are then compared."""

from __future__ import annotations

from typing import Any

from ._fields import cidr_list


def network_problems(networks: Any) -> list[str]:
    """Return what is wrong with a list of networks, each with its remedy.

    They must be in CIDR form, overlap nowhere, and be written as every program writes them.
    """
    try:
        checked = cidr_list([]).check(networks)
    except ValueError as error:
        return [str(error)]
    return [
        f"write {given} as {usual}"
        for given, usual in zip(networks, checked)
        if str(given) != usual
    ]
