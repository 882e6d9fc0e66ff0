# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""playbooks/rotate.yml, run as a user runs it, on a host that has none of the services yet."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
PASSWORD = "password of the test's vault"  # a stand-in
KEY = "key of the test"


class Project:
    """A user's project: a service, the file of its secrets, and the collection beside it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        self.root.mkdir()
        self.file = self.root / "secrets.yml"
        collections = folder / "collections" / "ansible_collections" / "modelops"
        collections.mkdir(parents=True)
        (collections / "serving").symlink_to(PROJECT)
        self._environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
            "ANSIBLE_NOCOLOR": "1",
            "PWD": str(self.root),
        }
        service = {
            "model": {"source": "package", "id": "tiny", "revision": "1"},
            "domain": "tiny.example.test",
            "authentication": {"methods": ["api_key", "jwt"]},
        }
        host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory = {
            "all": {
                "children": {"model_hosts": {"hosts": {"here": host}}},
                "vars": {"model_services": {"tiny": service}, "ansible_become": False},
            }
        }
        (self.root / "inventory.yml").write_text(json.dumps(inventory), encoding="utf-8")
        self.write({"tiny": {"api_keys": {"ci": KEY}, "users": {"ada": "lovelace"}}})

    def write(self, secrets: dict[str, Any]) -> None:
        content = {"other_variable": 1, "model_service_secrets": secrets}
        self.file.write_text(yaml.safe_dump(content), encoding="utf-8")

    def read(self) -> dict[str, Any]:
        content: dict[str, Any] = yaml.safe_load(self.file.read_text(encoding="utf-8"))
        assert content["other_variable"] == 1
        secrets: dict[str, Any] = content["model_service_secrets"]["tiny"]
        return secrets

    def rotate(self, *flags: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        """Run the playbook."""
        given = json.dumps({"modelops_secrets_file": "secrets.yml", **variables})
        command = ["ansible-playbook", "-i", "inventory.yml", "modelops.serving.rotate"]
        return self.run(*command, "-e", given, *flags)

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(Path(sys.executable).with_name(program)), *arguments],
            cwd=self.root,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


def changed(done: subprocess.CompletedProcess[str]) -> int:
    """Return how many tasks changed something in a run that worked."""
    assert done.returncode == 0, done.stdout + done.stderr
    return int(done.stdout.rpartition("changed=")[2].split()[0])


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_rotate_and_rotate_again(project: Project) -> None:
    before = project.file.read_text(encoding="utf-8")
    shown = project.rotate("--check", "--diff")
    assert changed(shown) == 1 and "tiny api_keys ci: of unknown age, rotated" in shown.stdout
    assert project.file.read_text(encoding="utf-8") == before

    done = project.rotate("--diff", "-vv")
    assert changed(done) == 1
    secrets = project.read()
    assert secrets["api_keys"]["ci"]["previous"]["key"] == KEY
    assert secrets["users"] == {"ada": "lovelace"}
    for secret in (KEY, "lovelace", secrets["api_keys"]["ci"]["key"]):
        assert secret not in done.stdout
    assert secrets["signing_keys"][0]["secret"] not in done.stdout
    assert stat.S_IMODE(project.file.stat().st_mode) == 0o600
    [backup] = project.root.glob("secrets.yml.*~")
    assert backup.read_text(encoding="utf-8") == before

    again = project.rotate()
    assert changed(again) == 0 and "tiny api_keys ci: 0 days old, kept" in again.stdout
    assert changed(project.rotate(modelops_rotate_everything=True)) == 1
    assert len(project.read()["signing_keys"]) == 2


def test_an_encrypted_file_stays_encrypted(project: Project) -> None:
    (project.root / "password").write_text(PASSWORD, encoding="utf-8")
    vault = ("--vault-id", "team@password")
    sealed = project.run("ansible-vault", "encrypt", *vault, "secrets.yml")
    assert sealed.returncode == 0, sealed.stderr
    refused = project.rotate()
    assert refused.returncode != 0
    assert "give its password as modelops_vault_password" in " ".join(refused.stdout.split())

    assert changed(project.rotate(modelops_vault_password=PASSWORD)) == 1
    assert project.file.read_text(encoding="utf-8").startswith("$ANSIBLE_VAULT;1.2;AES256;team\n")
    opened = project.run("ansible-vault", "decrypt", *vault, "secrets.yml")
    assert opened.returncode == 0, opened.stderr
    assert project.read()["api_keys"]["ci"]["previous"]["key"] == KEY
    project.run("ansible-vault", "encrypt", *vault, "secrets.yml")
    assert changed(project.rotate(modelops_vault_password=PASSWORD)) == 0


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"modelops_secrets_file": ""}, "give the path of the file"),
        ({"modelops_secrets_file": "/etc/secrets.yml"}, "below the project's root"),
        ({"modelops_secrets_file": "none.yml"}, "is no file"),
        ({"modelops_rotate_services": ["tniy"]}, "tniy is not in model_services"),
        ({"modelops_rotate_kinds": ["passwords"]}, "kinds has passwords"),
    ],
)
def test_what_is_refused(project: Project, variables: dict[str, Any], said: str) -> None:
    before = project.file.read_text(encoding="utf-8")
    done = project.rotate(**variables)
    assert done.returncode != 0 and said in " ".join(done.stdout.split()), done.stdout
    assert project.file.read_text(encoding="utf-8") == before


def test_values_that_are_encrypted_one_by_one_are_refused(project: Project) -> None:
    project.file.write_text("model_service_secrets: !vault |\n  x\n", encoding="utf-8")
    done = project.rotate()
    assert done.returncode != 0 and "encrypt the whole file" in " ".join(done.stdout.split())
