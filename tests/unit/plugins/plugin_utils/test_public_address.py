# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The address that the domain sslip is made of: the variable, else what the facts tell."""

from __future__ import annotations

import pytest
from ansible_collections.modelops.serving.plugins.filter.service_problems import service_problems
from ansible_collections.modelops.serving.plugins.filter.services import services

DECLARED = {"gte": {"model": {"source": "package", "id": "x", "revision": "1"}, "domain": "sslip"}}
FACTS = {"default_ipv4": {"address": "192.0.2.8"}}


@pytest.mark.parametrize(
    ("variables", "domain"),
    [
        ({"modelops_public_address": "192.0.2.7"}, "gte.192-0-2-7.sslip.io"),
        ({"ansible_facts": FACTS}, "gte.192-0-2-8.sslip.io"),
        (
            {"modelops_public_address": "192.0.2.7", "ansible_facts": FACTS},
            "gte.192-0-2-7.sslip.io",
        ),
        ({"modelops_public_address": "", "ansible_facts": FACTS}, "gte.192-0-2-8.sslip.io"),
    ],
)
def test_the_variable_stands_above_the_facts(variables, domain):
    assert services(variables, DECLARED)["gte"]["domain"] == domain


@pytest.mark.parametrize("variables", [{}, {"ansible_facts": {"default_ipv4": {}}}])
def test_without_both_the_variable_is_asked_for(variables):
    (problem,) = service_problems(variables, DECLARED)
    assert problem.startswith("modelops_public_address is '': ")
