# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The systems that are declared to be supported, and what the roles would find on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from rendering import ROLES, evaluate, render, role_variables


@dataclass(frozen=True)
class System:
    """One release, with the versions of its own nginx and OpenSSL."""

    family: str
    distribution: str
    version: str
    nginx: str
    openssl: str

    def __str__(self) -> str:
        return f"{self.distribution}-{self.version}-nginx-{self.nginx}-openssl-{self.openssl}"

    def facts(self) -> dict[str, Any]:
        """Return the facts that tell the systems apart."""
        return {
            "os_family": self.family,
            "distribution": self.distribution,
            "distribution_version": self.version,
            "distribution_major_version": self.version.partition(".")[0],
            "python_version": "3.9.25",
            "service_mgr": "systemd",
        }


SYSTEMS = (
    System("Debian", "Debian", "12.12", "1.22.1", "3.0.17"),
    System("Debian", "Debian", "13.2", "1.26.3", "3.5.4"),
    System("Debian", "Ubuntu", "22.04", "1.18.0", "3.0.2"),
    System("Debian", "Ubuntu", "24.04", "1.24.0", "3.0.13"),
    System("Debian", "Ubuntu", "26.04", "1.28.0", "3.5.4"),
    System("RedHat", "RedHat", "9.7", "1.20.1", "3.0.7"),
    System("RedHat", "Rocky", "10.1", "1.26.3", "3.5.1"),
)
# Whatever nginx and OpenSSL somebody may have installed from elsewhere.
NGINX = ("1.18.0", "1.20.1", "1.22.1", "1.24.0", "1.26.3", "1.28.0")
OPENSSL = ("1.1.1", "3.0.17", "3.5.4")
OTHERS = (
    *(replace(SYSTEMS[0], nginx=nginx) for nginx in NGINX),
    *(replace(SYSTEMS[0], openssl=openssl) for openssl in OPENSSL),
)

SERVICES: Mapping[str, Any] = {
    "tiny-chat": {
        "model": {"source": "package", "id": "stand-in", "revision": "1"},
        "task": "chat",
        "domain": "chat.example.com",
        "extra_port": 18789,
        "allow_from": ["192.0.2.0/24", "2001:db8::/32"],
        "rate_limit": {"storage": "redis+unix:///run/modelops-redis/redis.sock"},
        "conversations": {"keep": True},
    },
    "tiny": {
        "model": {"source": "package", "id": "stand-in", "revision": "1"},
        "task": "embedding",
        "domain": "tiny.example.com",
    },
}
PLAN = {
    key: {"value": 4_000_000_000 if key.endswith("bytes") else 120, "reason": "A reason."}
    for key in (
        "load_timeout_seconds",
        "request_timeout_seconds",
        "watchdog_seconds",
        "memory_max_bytes",
        "memory_high_bytes",
        "tasks_max",
    )
}
SLICE = {
    "unit": "modelops-tiny.slice",
    "service": "tiny",
    "settings": [{"name": "MemoryMax", "value": 4_000_000_000, "reason": "A reason."}],
}
# Over what tasks loop that make several files of one template; one service is enough here.
LOOPS = ("__logrotate_file", "__model_server_service", "__reverse_proxy_file")
# What other templates include.
PARTS = {"listen.j2", "sandbox.j2"}
NOTHING = {"stat": {"exists": True}, "results": []}


def templates() -> Iterator[tuple[str, str]]:
    """Yield role and name of each template that becomes a file."""
    for path in sorted(ROLES.glob("*/templates/**/*.j2")):
        if path.name not in PARTS:
            role = path.relative_to(ROLES).parts[0]
            yield role, str(path.relative_to(ROLES / role / "templates"))


@cache
def declared() -> dict[str, Any]:
    """Return the services of these tests, complete."""
    return complete(SERVICES)


def complete(services: Mapping[str, Any]) -> dict[str, Any]:
    """Return services as the roles see them."""
    variables = {"model_services": services}
    return dict(evaluate("{{ model_services | modelops.serving.services }}", variables))


def context(role: str, system: System, services: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return all variables that the templates of a role may use on ``system``."""
    names = [f"{system.family}.yml"]
    services = declared() if services is None else complete(services)
    one = next(iter(services.values()))
    return {
        **role_variables("common", names),
        **role_variables(role, names),
        "ansible_facts": system.facts(),
        f"{role}_services": services,
        "certificate_eab": {"kid": "one", "hmac_key": "two"},
        "__firewall_bounded": list(services.values()),
        "__firewall_front": "nftables",
        "__limits_slice": SLICE,
        "redis_password": "a-password-for-this-test-and-no-other",
        "__reverse_proxy_version": system.nginx,
        "__reverse_proxy_openssl": system.openssl,
        "__reverse_proxy_inet6": NOTHING,
        "__model_server_plan": PLAN,
        "__model_server_planned": {"task": "chat"},
        "__model_server_manifest": NOTHING,
        "__model_server_snapshot": "/var/lib/modelops/models/tiny",
        **{name: one for name in LOOPS},
    }


@cache
def rendered(role: str, template: str, system: System) -> str:
    """Return what a role would write on ``system``."""
    return render(role, template, context(role, system))
