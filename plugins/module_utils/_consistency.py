# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the keys of one service must be to each other, and what follows from them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from ._fields import Problem
from ._schema import LOOPBACK

Service = Mapping[str, Any]


def check_service(where: str, service: Service) -> Iterable[Problem]:
    """Yield what is wrong between the keys of a service that are right by themselves."""
    yield from _check_model(f"{where}.model", service)
    yield from _check_mirrors(f"{where}.model", service["model"])
    yield from _check_upstream(where, service)
    yield from _check_authentication(where, service)
    yield from _check_basic_auth(where, service)
    yield from _check_network(where, service)
    yield from _check_chat(f"{where}.chat", service["chat"])
    yield from _check_certificate(where, service)
    if service["extra_port"] in (80, 443):
        remedy = "443 is there anyway, and 80 leads to it; give another port, or none"
        yield Problem(f"{where}.extra_port", service["extra_port"], remedy)


def network_of(service: Service) -> list[str]:
    """Return the networks that the server itself may reach: none, unless it needs one."""
    allowed = list(service["network"]["allow"])
    for _key, address in _remote_hosts(service):
        for network in _networks(address):
            if network not in allowed:
                allowed.append(network)
    return allowed if list(_remote_hosts(service)) else []


def _check_model(where: str, service: Service) -> Iterable[Problem]:
    model = service["model"]
    if service["engine"]["name"] == "upstream" and not model["source"]:
        return
    yield from _check_place(where, model)


def _check_place(where: str, model: Mapping[str, Any]) -> Iterable[Problem]:
    source, identity = model["source"], model["id"]
    if source in ("modelscope", "huggingface", "http", "path") and not re.fullmatch(
        r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", identity
    ):
        yield Problem(f"{where}.id", identity, "write it as owner/name")
    if source in ("http", "path") and not model["endpoint"]:
        remedy = (
            "give the base URL" if source == "http" else "give the folder or archive on the host"
        )
        yield Problem(f"{where}.endpoint", "", remedy)


def _check_mirrors(where: str, model: Mapping[str, Any]) -> Iterable[Problem]:
    for index, mirror in enumerate(model["mirrors"]):
        yield from _check_place(f"{where}.mirrors[{index}]", mirror)


def _check_upstream(where: str, service: Service) -> Iterable[Problem]:
    engine = service["engine"]
    if engine["name"] == "upstream":
        for key, what in (("url", "the other server's address up to /v1"), ("model", "its model")):
            if not engine[key]:
                yield Problem(f"{where}.engine.{key}", "", f"give {what}")
        if service["task"] not in ("auto", "chat"):
            yield Problem(f"{where}.task", service["task"], "engine.name upstream can only chat")
        accelerator = service["resources"]["accelerator"]
        if accelerator != "none":
            remedy = "with engine.name upstream the other server computes; leave it out"
            yield Problem(f"{where}.resources.accelerator", accelerator, remedy)
    else:
        for key in ("url", "model"):
            if engine[key]:
                remedy = "only engine.name upstream uses it; set that, or leave it out"
                yield Problem(f"{where}.engine.{key}", engine[key], remedy)


def _check_authentication(where: str, service: Service) -> Iterable[Problem]:
    authentication = service["authentication"]
    methods = authentication["methods"]
    if not methods or ("none" in methods and len(methods) > 1):
        remedy = "choose api_key, jwt or both; none stands alone"
        yield Problem(f"{where}.authentication.methods", methods, remedy)
    elif methods == ["none"] and not _loopback_only(service["allow_from"]):
        remedy = (
            f"authentication.methods [none] opens the API to whom it admits, so it must lie within "
            f"{' and '.join(LOOPBACK)}; narrow it, or ask for keys"
        )
        yield Problem(f"{where}.allow_from", service["allow_from"], remedy)


def _check_basic_auth(where: str, service: Service) -> Iterable[Problem]:
    if service["basic_auth"] and "jwt" in service["authentication"]["methods"]:
        remedy = (
            "the password takes the header Authorization, in which tokens travel; leave jwt out of "
            "authentication.methods, or have no basic_auth"
        )
        yield Problem(f"{where}.basic_auth", service["basic_auth"], remedy)


def _check_network(where: str, service: Service) -> Iterable[Problem]:
    for key, host in _remote_hosts(service):
        if not host:
            yield Problem(f"{where}.{key}", host, "it names no host")
        elif not _networks(host) and not service["network"]["allow"]:
            remedy = (
                f"the server may reach what is named here only, and {key} has the host name "
                f"'{host}': give the networks of that host and of the resolver, or write the URL "
                "with an address"
            )
            yield Problem(f"{where}.network.allow", [], remedy)


def _check_chat(where: str, chat: Mapping[str, Any]) -> Iterable[Problem]:
    for key, most in (("default_max_tokens", "max_tokens"), ("temperature", "max_temperature")):
        if chat[key] > chat[most]:
            yield Problem(f"{where}.{key}", chat[key], f"it exceeds {most}, {chat[most]}")


def _check_certificate(where: str, service: Service) -> Iterable[Problem]:
    certificate = service["certificate"]
    for key in ("fullchain", "privkey") if certificate["provider"] == "files" else ():
        if not certificate[key]:
            remedy = "name the file, since provider is 'files'"
            yield Problem(f"{where}.certificate.{key}", "", remedy)
    if certificate["profile"] and certificate["provider"] != "acme":
        remedy = f"only provider acme has profiles, and it is '{certificate['provider']}'"
        yield Problem(f"{where}.certificate.profile", certificate["profile"], remedy)
    if service["domain"] in service["aliases"]:
        yield Problem(f"{where}.aliases", service["aliases"], "leave out the domain itself")


def _remote_hosts(service: Service) -> Iterable[tuple[str, str]]:
    """Yield the key and the host of each URL that the server itself opens by TCP."""
    storage = service["rate_limit"]["storage"]
    if service["engine"]["name"] == "upstream" and service["engine"]["url"]:
        yield "engine.url", urlsplit(service["engine"]["url"]).hostname or ""
    if storage.startswith(("redis://", "rediss://")):
        yield "rate_limit.storage", urlsplit(storage).hostname or ""


def _networks(host: str) -> list[str]:
    if host == "localhost":
        return LOOPBACK
    try:
        return [str(ipaddress.ip_network(host))]
    except ValueError:
        return []


def _loopback_only(networks: Iterable[str]) -> bool:
    found = [ipaddress.ip_network(network) for network in networks]
    return bool(found) and all(network.is_loopback for network in found)
