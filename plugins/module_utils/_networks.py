# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of networks for rules that other programs print again, and that are then compared."""

from __future__ import annotations

from typing import Any

from ._fields import networks


def network_problems(value: Any, everybody: bool = True) -> list[str]:
    """Return what is wrong with a list of networks, each with its remedy.

    They must be in CIDR form, overlap nowhere, and be written as every program writes them. Without
    ``everybody`` a network of all addresses is refused.
    """
    try:
        checked = networks(value, everybody)
    except ValueError as error:
        return [str(error)]
    return [
        f"write {given} as {usual}" for given, usual in zip(value, checked) if str(given) != usual
    ]
