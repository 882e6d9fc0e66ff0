# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services of one host: own names, one that answers addresses, canaries that nobody notices."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._declaration import (
    DeclarationError,
    merge,
    normalise,
)
from ansible_collections.modelops.serving.plugins.module_utils._neighbours import check_neighbours

ONE = {
    "model": {"source": "package", "id": "tiny", "revision": "1"},
    "task": "embedding",
    "domain": "one.example.com",
}
CANARY = {"canary": {"service": "two", "percent": 10}}


def declared(one=None, two=None):
    return {
        "one": merge(copy.deepcopy(ONE), one or {}),
        "two": merge({**copy.deepcopy(ONE), "domain": "two.example.com"}, two or {}),
    }


def problems(one=None, two=None):
    with pytest.raises(DeclarationError) as caught:
        normalise(declared(one, two))
    return caught.value.problems


def named(one, two):
    """Problems of services with names that came from elsewhere."""
    services = normalise(declared())
    services["one"].update(one)
    services["two"].update(two)
    return [str(problem) for problem in check_neighbours(services)]


def test_a_canary_is_kept_as_it_is_declared():
    assert normalise(declared(CANARY))["one"]["canary"] == {"service": "two", "percent": 10.0}


@pytest.mark.parametrize(
    ("one", "two", "remedy"),
    [
        ({"canary": {"service": "three"}}, {}, "that is present"),
        ({"canary": {"service": "one"}}, {}, "another service"),
        (CANARY, {"state": "absent"}, "that is present"),
        (CANARY, {"task": "rerank"}, "its task is 'rerank' and not 'embedding'"),
        (CANARY, {"served_name": "other"}, "its served_name is 'other'"),
        (CANARY, {"canary": {"service": "one"}}, "has a canary itself"),
        (CANARY, {"authentication": {"methods": ["api_key", "jwt"]}}, "authentication.methods"),
        ({**CANARY, "authentication": {"methods": ["jwt"]}}, {}, "a token of one service"),
        ({"canary": {"percent": 10}}, {}, "name the service"),
        ({"canary": {"service": "two", "percent": 51}}, {}, "a number from 0 to 50"),
    ],
)
def test_a_canary_that_clients_would_notice_is_refused(one, two, remedy):
    found = problems(one, two)
    assert found[0].startswith("model_services.one.canary")
    assert any(remedy in line for line in found)


def test_each_name_belongs_to_one_service():
    assert named({"aliases": ["a.example.com"]}, {"aliases": ["b.example.com"]}) == []
    assert named({"aliases": ["two.example.com"]}, {}) == [
        "model_services.two.domain is 'two.example.com': service 'one' has it already; "
        "give each its own"
    ]
    assert "name it once" in named({"aliases": ["one.example.com"]}, {})[0]


def test_one_service_answers_addresses():
    assert named({"addresses": ["192.0.2.1", "2001:db8::1"]}, {}) == []
    found = named({"addresses": ["192.0.2.1"]}, {"addresses": ["192.0.2.2"]})
    assert found[0].startswith("model_services.two.addresses") and "keep those of one" in found[0]
    assert (
        named({"addresses": ["192.0.2.1"]}, {"addresses": ["192.0.2.2"], "state": "absent"}) == []
    )
