# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of networks are refused with the remedy."""

from __future__ import annotations

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._networks import network_problems


def test_networks_as_programs_print_them_are_right() -> None:
    assert network_problems(["0.0.0.0/0", "::/0"]) == []
    assert network_problems(["192.0.2.0/24", "198.51.100.7/32", "2001:db8::/32"]) == []


@pytest.mark.parametrize(
    ("networks", "says"),
    [
        (["nowhere"], "write each network as address/prefix"),
        (["192.0.2.7/24"], "has host bits set"),
        (["10.0.0.0/8", "10.1.0.0/16"], "10.1.0.0/16 and 10.0.0.0/8 overlap"),
        (["192.0.2.7"], "write 192.0.2.7 as 192.0.2.7/32"),
        (["2001:DB8:0::/32"], "write 2001:DB8:0::/32 as 2001:db8::/32"),
    ],
)
def test_others_are_refused_with_the_remedy(networks: list[str], says: str) -> None:
    [problem] = network_problems(networks)
    assert says in problem
