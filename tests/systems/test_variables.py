# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What a role says for one system it says for all, and all roles are meant for the same ones."""

from __future__ import annotations

from typing import Any

import pytest
from contexts import SYSTEMS, System, context
from rendering import ROLES, evaluate, read

NAMES = sorted(path.name for path in ROLES.iterdir() if path.is_dir())
BY_SYSTEM = {name: sorted((ROLES / name / "vars").glob("[A-Z]*.yml")) for name in NAMES}
CODENAMES = {
    "Debian": {"bookworm": "12", "trixie": "13"},
    "Ubuntu": {"jammy": "22.04", "noble": "24.04", "resolute": "26.04"},
    "EL": {"9": "9", "10": "10"},
}
RED_HAT = ("RedHat", "CentOS", "Rocky", "AlmaLinux", "OracleLinux")


@pytest.mark.parametrize("role", [name for name in NAMES if BY_SYSTEM[name]])
def test_each_family_has_the_same_variables(role: str) -> None:
    assert {"Debian.yml", "RedHat.yml"} <= {path.name for path in BY_SYSTEM[role]}
    keys = {path.name: sorted(read(path)) for path in BY_SYSTEM[role]}
    assert len({tuple(names) for names in keys.values()}) == 1, keys


@pytest.mark.parametrize("system", SYSTEMS, ids=str)
@pytest.mark.parametrize("role", [name for name in NAMES if BY_SYSTEM[name]])
def test_each_variable_has_a_value_on_each_system(role: str, system: System) -> None:
    variables = context(role, system)
    for name in read(ROLES / role / "vars" / f"{system.family}.yml"):
        value = evaluate("{{ " + name + " }}", variables)
        if name.endswith("_packages"):
            assert value and all(isinstance(package, str) and package for package in value)


def test_names_differ_where_the_systems_do() -> None:
    def value(name: str, role: str, version: str) -> object:
        system = next(item for item in SYSTEMS if item.version == version)
        return evaluate("{{ " + name + " }}", context(role, system))

    assert value("__redis_packages", "redis", "12.12") == ["redis-server"]
    assert value("__redis_program", "redis", "9.7") == "/usr/bin/redis-server"
    assert value("__redis_program", "redis", "10.1") == "/usr/bin/valkey-server"
    assert value("__redis_distribution_unit", "redis", "10.1") == "valkey.service"
    assert "python3.11" in value("__python_env_packages", "python_env", "9.7")
    assert "python3" in value("__python_env_packages", "python_env", "10.1")
    assert value("__common_selinux_run", "common", "9.7") == "/var/run"
    assert value("__common_selinux_run", "common", "10.1") == "/run"


@pytest.mark.parametrize("role", NAMES)
def test_the_role_is_meant_for_the_systems_that_preflight_admits(role: str) -> None:
    platforms = read(ROLES / role / "meta" / "main.yml")["galaxy_info"]["platforms"]
    releases = {
        row["name"]: [CODENAMES[row["name"]][version] for version in row["versions"]]
        for row in platforms
    }
    admitted = read(ROLES / "preflight" / "defaults" / "main.yml")["preflight_systems"]
    el = releases.pop("EL")
    assert {**releases, **{name: el for name in RED_HAT}} == {
        name: list(states) for name, states in admitted.items()
    }


def test_a_state_is_tested_or_rendered_and_each_release_is_looked_at_here() -> None:
    admitted = read(ROLES / "preflight" / "defaults" / "main.yml")["preflight_systems"]
    assert {state for states in admitted.values() for state in states.values()} == {
        "tested",
        "rendered",
    }
    looked_at = {(item.family, item.version.partition(".")[0]) for item in SYSTEMS}
    for name, states in admitted.items():
        family = "RedHat" if name in RED_HAT else "Debian"
        assert {(family, release.partition(".")[0]) for release in states} <= looked_at


@pytest.mark.parametrize(
    ("family", "distribution", "release"),
    [
        ("Debian", "Debian", "11.11"),
        ("Debian", "Ubuntu", "20.04"),
        ("Debian", "Ubuntu", "25.10"),
        ("RedHat", "RedHat", "8.10"),
        ("RedHat", "Fedora", "43"),
    ],
)
def test_preflight_refuses_other_releases(family: str, distribution: str, release: str) -> None:
    system = System(family, distribution, release, nginx="", openssl="")
    refused = refusals(context("preflight", system))
    assert [check["variable"] for check in refused] == ["ansible_facts['distribution']"]
    assert refused[0]["value"] == f"{distribution} {release}"
    assert "use Debian 12 or 13, Ubuntu 22.04 or 24.04 or 26.04" in refused[0]["remedy"]


@pytest.mark.parametrize("system", SYSTEMS, ids=str)
def test_preflight_admits_the_supported_ones(system: System) -> None:
    assert refusals(context("preflight", system)) == []


def test_preflight_refuses_an_old_python() -> None:
    variables = context("preflight", SYSTEMS[0])
    variables["ansible_facts"] = {**variables["ansible_facts"], "python_version": "3.8.20"}
    (check,) = refusals(variables)
    assert (check["variable"], check["value"]) == ("ansible_facts['python_version']", "3.8.20")
    assert "ansible_python_interpreter" in check["remedy"]


def refusals(variables: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the checks of the host that would fail."""
    checks = evaluate("{{ __preflight_host_checks }}", variables)
    return [check for check in checks if not check["valid"]]
