# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks that are trusted, or never banned: in CIDR form, apart, and not everybody."""

from __future__ import annotations

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._fields import networks


def test_networks_are_kept():
    given = ["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"]
    assert networks(given, everybody=False) == [*given[:2], "198.51.100.7/32"]
    assert networks(["0.0.0.0/0"]) == ["0.0.0.0/0"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("192.0.2.0/24", "give a list"),
        (["nowhere"], "address/prefix"),
        (["192.0.2.1/24"], "address/prefix"),
        (["0.0.0.0/0"], "is everybody"),
        (["::/0"], "is everybody"),
        (["192.0.2.0/24", "192.0.2.128/25"], "overlap"),
    ],
)
def test_what_would_trust_too_many_is_refused(given, said):
    with pytest.raises(ValueError, match=said):
        networks(given, everybody=False)
