# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""playbooks/lock.yml, run as a user runs it, against the test hub (a stand-in for the hubs)."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hub import Hub

PROJECT = Path(__file__).resolve().parents[2]
LOCK = "locks/tiny.yml"


def weights() -> bytes:
    """Return a safetensors file with one float32 tensor of four zeros."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(16)


class Project:
    """A user's project: an inventory with the service ``tiny``, and the collection beside it."""

    def __init__(self, folder: Path, hub: Hub) -> None:
        self.root = folder / "project"
        self.root.mkdir()
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
        self.model: dict[str, Any] = {
            "source": "huggingface",
            "id": "owner/tiny",
            "revision": "v1.0.0",
            "endpoint": hub.url,
            "lock": LOCK,
        }

    def path(self, name: str) -> Path:
        """Return a path below the project's root."""
        return self.root / name

    def lock(self, *flags: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        """Run the playbook; nothing is asked of the host, which does not exist."""
        service = {"model": self.model, "domain": "tiny.example.test"}
        inventory = {
            "all": {
                "children": {"model_hosts": {"hosts": {"nowhere.invalid": {}}}},
                "vars": {"model_services": {"tiny": service}, **variables},
            }
        }
        self.path("inventory.yml").write_text(json.dumps(inventory), encoding="utf-8")
        ansible_playbook = str(Path(sys.executable).with_name("ansible-playbook"))
        return subprocess.run(
            [
                ansible_playbook,
                "-i",
                "inventory.yml",
                "modelops.serving.lock",
                *(["-e", json.dumps(variables)] if variables else []),
                *flags,
            ],
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
def model(hub_root: Path) -> Path:
    """The folder of the model at the hub; its tag v1.0.0 follows it."""
    folder = hub_root / "owner" / "tiny"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"hidden_size": 4}', encoding="utf-8")
    (folder / "model.safetensors").write_bytes(weights())
    return folder


@pytest.fixture
def project(tmp_path: Path, model: Path, model_hub: Hub) -> Project:
    return Project(tmp_path, model_hub)


def test_lock_lock_again_and_a_tag_that_moved(project: Project, model: Path) -> None:
    shown = project.lock("--check", "--diff")
    assert changed(shown) == 2 and "+source: huggingface" in shown.stdout, shown.stdout
    assert not project.path("locks").exists()

    assert changed(project.lock()) == 2
    text = project.path(LOCK).read_text(encoding="utf-8")
    locked = yaml.safe_load(text)
    assert locked["revision"] == "v1.0.0" and len(locked["commit"]) == 40
    assert [item["path"] for item in locked["files"]] == ["config.json", "model.safetensors"]
    assert changed(project.lock()) == 0

    (model / "config.json").write_text('{"hidden_size": 8}', encoding="utf-8")
    moved = project.lock("--diff")
    assert moved.returncode != 0
    for said in (
        "The hub moved, you did not",
        "code: lock_moved",
        "1 changed, 0 added, 0 removed",
        "- config.json",
        locked["commit"],
    ):
        assert said in moved.stdout, (said, moved.stdout)
    assert project.path(LOCK).read_text(encoding="utf-8") == text

    accepted = project.lock("--diff", lock_accept_moved=True)
    assert changed(accepted) == 1 and f'-commit: "{locked["commit"]}"' in accepted.stdout
    assert project.path(LOCK).read_text(encoding="utf-8") != text
    assert changed(project.lock()) == 0


def test_another_revision_is_an_ordinary_change(project: Project, model: Path) -> None:
    assert changed(project.lock()) == 2
    other = model.with_name("tiny@v2")
    shutil.copytree(model, other)
    (other / "config.json").write_text('{"hidden_size": 8}', encoding="utf-8")
    project.model["revision"] = "v2"
    assert changed(project.lock()) == 1
    assert yaml.safe_load(project.path(LOCK).read_text(encoding="utf-8"))["revision"] == "v2"


def test_a_service_without_a_lock_gets_one_and_is_told_so(project: Project) -> None:
    del project.model["lock"]
    done = project.lock()
    assert changed(done) == 2
    assert f"lock: {LOCK}" in done.stdout
    assert project.path(LOCK).exists()


def test_locks_may_stand_in_a_variable(project: Project, model: Path) -> None:
    project.model["lock"] = "mini"
    others = "---\n# of others\nmodel_locks:\n  other:\n    lock_version: 1\n"
    project.path("locks.yml").write_text(others, encoding="utf-8")
    assert changed(project.lock(lock_variable_file="locks.yml")) == 1
    text = project.path("locks.yml").read_text(encoding="utf-8")
    locks = yaml.safe_load(text)["model_locks"]
    assert set(locks) == {"mini", "other"} and "# of others\n" in text
    known = {"lock_variable_file": "locks.yml", "model_locks": locks}
    assert changed(project.lock(**known)) == 0

    (model / "config.json").write_text('{"hidden_size": 8}', encoding="utf-8")
    moved = project.lock(**known)
    assert moved.returncode != 0 and "code: lock_moved" in moved.stdout
    assert project.path("locks.yml").read_text(encoding="utf-8") == text


def test_a_branch_is_not_locked(project: Project) -> None:
    project.model["revision"] = "main"
    done = project.lock()
    assert done.returncode != 0 and "code: floating_revision" in done.stdout
    assert not project.path(LOCK).exists()


def test_an_unknown_service_is_named(project: Project) -> None:
    done = project.lock(lock_services=["tniy"])
    assert done.returncode != 0 and "tniy is not in model_services" in " ".join(done.stdout.split())


def test_the_token_of_a_private_model_is_used_and_not_shown(
    project: Project, model: Path, model_hub: Hub
) -> None:
    model.rename(model.with_name("private"))
    project.model["id"] = "owner/private"
    refused = project.lock()
    assert refused.returncode != 0 and "code: access_denied" in refused.stdout
    done = project.lock("-vvv", model_service_secrets={"tiny": {"model_token": model_hub.token}})
    assert done.returncode == 0 and project.path(LOCK).exists()
    shown = [line for line in done.stdout.splitlines() if model_hub.token in line]
    assert shown == []
