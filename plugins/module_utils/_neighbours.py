# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the services of one host must be to each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._fields import Problem
from ._host_names import SSLIP, reached_by

Service = Mapping[str, Any]


def check_neighbours(services: Mapping[str, Service]) -> Iterable[Problem]:
    """Yield what is wrong between services that are right by themselves; absent ones are none."""
    present = {name: service for name, service in services.items() if service["state"] == "present"}
    yield from _shared_names(present)
    yield from _unnamed_handshakes(present)
    for name, service in present.items():
        yield from _check_canary(f"model_services.{name}.canary", name, service, services)


def _shared_names(present: Mapping[str, Service]) -> Iterable[Problem]:
    seen: dict[str, str] = {}
    for name, service in present.items():
        for key, known_as in reached_by(service):
            if known_as == SSLIP or known_as not in seen:
                seen[known_as] = name
                continue
            other = seen[known_as]
            remedy = f"service '{other}' has it already; give each its own"
            if other == name:
                remedy = "the service has it already; name it once"
            yield Problem(f"model_services.{name}.{key}", known_as, remedy)


def _unnamed_handshakes(present: Mapping[str, Service]) -> Iterable[Problem]:
    """A client that asks for an address names no service in its handshake: one can answer it."""
    addressed = [name for name, service in present.items() if service["addresses"]]
    for name in addressed[1:]:
        remedy = (
            f"service '{addressed[0]}' has addresses already, and a handshake with an address "
            "names no service; keep those of one"
        )
        yield Problem(f"model_services.{name}.addresses", present[name]["addresses"], remedy)


def _check_canary(
    where: str, name: str, service: Service, services: Mapping[str, Service]
) -> Iterable[Problem]:
    named, percent = service["canary"]["service"], service["canary"]["percent"]
    if not named:
        if percent:
            yield Problem(f"{where}.service", named, "name the service that gets the share")
        return
    other = services.get(named, {"state": "absent"})
    if named == name or other["state"] != "present":
        remedy = "name another service of this host that is present"
        yield Problem(f"{where}.service", named, remedy)
        return
    if other["canary"]["service"]:
        yield Problem(f"{where}.service", named, "that service has a canary itself; name another")
    methods = service["authentication"]["methods"]
    if "jwt" in methods:
        remedy = f"{methods} has jwt, and a token of one service is none at another; leave out one"
        yield Problem(f"{where}.service", named, f"authentication.methods {remedy}")
    for what, one, two in (
        ("task", service["task"], other["task"]),
        ("served_name", service["served_name"], other["served_name"]),
        ("authentication.methods", methods, other["authentication"]["methods"]),
    ):
        if one != two:
            remedy = (
                f"its {what} is {two!r} and not {one!r}, so clients would notice; make them one"
            )
            yield Problem(f"{where}.service", named, remedy)
