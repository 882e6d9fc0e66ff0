# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What a role documents in its argument specs is what its defaults say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


def load(role: str, part: str) -> dict[str, Any]:
    path = ROOT / "roles" / role / part
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.exists() else {}


def entry_points() -> list[tuple[str, str]]:
    return [
        (role, name)
        for role in ROLES
        for name in load(role, "meta/argument_specs.yml").get("argument_specs", {})
    ]


@pytest.mark.parametrize("role", ROLES)
def test_every_default_is_documented(role: str) -> None:
    specs = load(role, "meta/argument_specs.yml").get("argument_specs", {})
    assert "main" in specs, f"roles/{role}/meta/argument_specs.yml has no entry point main"
    documented = {name for spec in specs.values() for name in spec.get("options", {})}
    assert sorted(set(load(role, "defaults/main.yml")) - documented) == []


@pytest.mark.parametrize(("role", "entry_point"), entry_points())
def test_documented_defaults_are_the_real_ones(role: str, entry_point: str) -> None:
    specs = load(role, "meta/argument_specs.yml")["argument_specs"]
    options = specs[entry_point].get("options", {})
    defaults = load(role, "defaults/main.yml")
    different = {
        name: (option.get("default"), defaults[name])
        for name, option in options.items()
        if name in defaults and option.get("default") != defaults[name]
    }
    assert different == {}
    unset = [
        name
        for name, option in options.items()
        if name not in defaults and not option.get("required")
    ]
    assert unset == [], "options that are neither required nor in defaults/main.yml"


@pytest.mark.parametrize(("role", "entry_point"), entry_points())
def test_every_entry_point_has_its_tasks(role: str, entry_point: str) -> None:
    assert (ROOT / "roles" / role / "tasks" / f"{entry_point}.yml").is_file()


@pytest.mark.parametrize("role", ROLES)
def test_public_variables_carry_the_name_of_the_role(role: str) -> None:
    assert [
        name for name in load(role, "defaults/main.yml") if not name.startswith(f"{role}_")
    ] == []
