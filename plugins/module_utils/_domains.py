# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose domains services ask for: names that are nobody's, and names that are somebody else's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ._addresses import NAMES_OF_ADDRESSES
from ._fields import Problem
from ._host_names import reached_by

# RFC 2606, 6761, 6762, 8375 and ICANN's "internal": no public authority certifies a name below one.
RESERVED = (
    "example",
    "example.com",
    "example.net",
    "example.org",
    "home.arpa",
    "internal",
    "invalid",
    "local",
    "localhost",
    "test",
)


def domain_problems(services: Iterable[Mapping[str, Any]], own: Sequence[str]) -> list[str]:
    """Return what is wrong with the names of complete ``services``, one line each.

    With ``own`` every name must be one of these or lie below one, but for a name that is made of
    an address. Where the public authority is asked for a certificate, a reserved name is refused.
    """
    return [str(problem) for service in services for problem in _check(service, own)]


def _check(service: Mapping[str, Any], own: Sequence[str]) -> Iterable[Problem]:
    certificate = service["certificate"]
    public = certificate["provider"] == "acme" and not certificate["directory"]
    for key, name in reached_by(service):
        if key == "addresses" or _below(name, [NAMES_OF_ADDRESSES]):
            continue
        variable = f"model_services.{service['name']}.{key}"
        if own and not _below(name, own):
            remedy = (
                f"it lies below none of preflight_own_domains, {', '.join(own)}; correct the name, "
                "or add the domain if it is yours"
            )
            yield Problem(variable, name, remedy)
        elif public and _below(name, RESERVED):
            remedy = (
                "the name is reserved and can be nobody's, so that no public authority certifies "
                "it; give a name of your own, or another certificate.provider"
            )
            yield Problem(variable, name, remedy)


def _below(name: str, domains: Iterable[str]) -> bool:
    return any(name == domain or name.endswith(f".{domain}") for domain in domains)
