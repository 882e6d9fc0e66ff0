# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Templates of the roles, rendered by Ansible's own engine for systems that are not at hand."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = ROOT / "roles"
sys.path.insert(0, str(ROOT))

# Found only after the line above
from tools import collection  # noqa: E402

sys.path.insert(0, str(collection.link()))

# Only after it, since Ansible looks for collections once
from ansible.parsing.dataloader import DataLoader  # noqa: E402
from ansible.plugins.loader import init_plugin_loader  # noqa: E402
from ansible.template import Templar, trust_as_template  # noqa: E402

init_plugin_loader([str(collection.link())])


def read(path: Path) -> dict[str, Any]:
    """Read a YAML file that may be missing or empty."""
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.is_file() else {}


@cache
def _variables(path: Path) -> Mapping[str, Any]:
    """Read a role's variables, whose expressions Ansible may evaluate."""
    loader = DataLoader()
    return (
        (loader.load_from_file(str(path), trusted_as_template=True) or {}) if path.is_file() else {}
    )


def role_variables(role: str, names: list[str]) -> dict[str, Any]:
    """Return what a role sets on a host for which it loads the files ``names`` of its vars."""
    folder = ROLES / role
    files = [folder / "defaults" / "main.yml", folder / "vars" / "main.yml"]
    files += [folder / "vars" / name for name in names]
    return {key: value for path in files for key, value in _variables(path).items()}


def evaluate(expression: str, variables: Mapping[str, Any]) -> Any:
    """Return the value of a template."""
    templar = Templar(loader=DataLoader(), variables=dict(variables))
    return templar.template(trust_as_template(expression))


def render(role: str, template: str, variables: Mapping[str, Any]) -> str:
    """Return a template of a role as the module ``template`` would write it."""
    folder = ROLES / role
    places = {"ansible_search_path": [str(folder)], "role_path": str(folder)}
    lookup = f"lookup('ansible.builtin.template', '{template}')"
    return str(evaluate("{{ " + lookup + " }}", {**variables, **places}))
