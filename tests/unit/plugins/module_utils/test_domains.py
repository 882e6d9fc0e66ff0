# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains that are nobody's, or somebody else's."""

from __future__ import annotations

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._domains import domain_problems


def service(domain, provider="acme", directory="", **others):
    certificate = {"provider": provider, "directory": directory}
    names = {"domain": domain, "aliases": [], "addresses": []}
    return {"name": "tiny", "certificate": certificate, **names, **others}


@pytest.mark.parametrize("domain", ["tiny.example.com", "tiny.test", "home.arpa", "a.b.internal"])
def test_a_reserved_name_gets_no_public_certificate(domain):
    (problem,) = domain_problems([service(domain)], [])
    assert problem.startswith(f"model_services.tiny.domain is '{domain}': the name is reserved")


@pytest.mark.parametrize(
    "declared",
    [
        service("tiny.example.com", provider="self_signed"),
        service("tiny.example.com", directory="https://ca.example.com/dir"),
        service("tiny.myexample.com"),
        service("tiny.192-0-2-7.sslip.io", addresses=["192.0.2.7"]),
    ],
)
def test_others_pass(declared):
    assert domain_problems([declared], []) == []


def test_a_name_made_of_an_address_is_nobodys_domain():
    assert domain_problems([service("tiny.192-0-2-7.sslip.io")], ["models.org"]) == []


def test_each_name_must_lie_below_an_own_domain():
    declared = service(
        "tiny.models.org", provider="self_signed", aliases=["tiny.yourmodels.org", "models.org"]
    )
    (problem,) = domain_problems([declared], ["models.org"])
    assert "model_services.tiny.aliases is 'tiny.yourmodels.org'" in problem
    assert "preflight_own_domains, models.org" in problem
