# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Each environment of the project, read by Ansible itself as the second of two inventories."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DECLARATION = (
    "{{ model_services | modelops.serving.services(model_services_overrides | default({}),"
    " model_locks | default({}), project) }}"
)


def declaration_of(environment: str, *extra: str) -> subprocess.CompletedProcess[str]:
    """Let Ansible print the complete declaration of the first host of an environment."""
    return subprocess.run(
        [
            str(pathlib.Path(sys.executable).with_name("ansible")),
            "model_hosts[0]",
            "-c",
            "local",
            "-i",
            "inventories/common",
            "-i",
            f"inventories/{environment}",
            "-m",
            "ansible.builtin.debug",
            "-a",
            f"msg={DECLARATION}",
            "-e",
            f"project={ROOT}",
            *extra,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_NOCOLOR": "1"},
    )


def service_of(environment: str) -> dict:
    result = declaration_of(environment)
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout[result.stdout.index("{") :])["msg"]["minilm"]


@pytest.mark.parametrize(
    ("environment", "domain", "provider", "per_minute"),
    [
        ("quickstart", "minilm.example.test", "self_signed", 600),
        ("development", "minilm.dev.example.com", "self_signed", 600),
        ("staging", "minilm.staging.example.com", "acme", 60),
        ("production", "minilm.example.com", "acme", 60),
    ],
)
def test_an_environment_changes_what_it_names_and_shares_the_rest(
    environment, domain, provider, per_minute
):
    service = service_of(environment)
    assert service["domain"] == domain
    assert service["certificate"]["provider"] == provider
    assert service["rate_limit"]["requests_per_minute"] == per_minute
    assert service["served_name"] == "all-MiniLM-L6-v2"
    assert service["model"]["lock"]["id"] == service["model"]["id"]


def test_an_unknown_key_of_an_environment_is_refused_with_the_nearest():
    result = declaration_of(
        "quickstart", "-e", '{"model_services_overrides": {"minilm": {"rate_limt": {}}}}'
    )
    assert result.returncode != 0
    assert "model_services.minilm.rate_limt" in result.stdout + result.stderr
    assert "did you mean 'rate_limit'?" in result.stdout + result.stderr
