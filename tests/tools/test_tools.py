# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What make runs: the parts of tools/ that decide something."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools import ansible_test, demo, image, machine, play, report, scenarios  # noqa: E402
from tools.client import cosine  # noqa: E402
from tools.hosts import Host, Network  # noqa: E402


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine whose package client is not set up by the environment."""
    names = (*machine.CA_VARIABLES, *machine.PROXY_VARIABLES, "PIP_FIND_LINKS", "PIP_INDEX_URL")
    for name in names:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def test_a_plain_machine_adds_nothing(bare: pytest.MonkeyPatch) -> None:
    assert machine.run_flags() == []
    assert machine.variables() == {
        "modelops_addresses": {},
        "modelops_ca_bundle": "",
        "python_env_find_links": [],
    }


def test_a_machine_hands_on_what_its_environment_says(
    bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl").touch()
    (tmp_path / "ca.pem").touch()
    bare.setenv("PIP_FIND_LINKS", f"{tmp_path} https://wheels.example.test/")
    bare.setenv("PIP_INDEX_URL", "https://index.example.test/simple")
    bare.setenv("PIP_CERT", str(tmp_path / "ca.pem"))
    bare.setenv("HTTPS_PROXY", "http://proxy.example.test:3128")
    assert json.loads(machine.write_variables(tmp_path / "made" / "it.json").read_text()) == {
        "modelops_addresses": {
            "package_index": "https://index.example.test/simple",
            "torch_cpu_index": "",
        },
        "modelops_ca_bundle": machine.SYSTEM_BUNDLE,
        "python_env_find_links": [str(tmp_path)],
    }
    assert machine.run_flags() == [
        f"--volume={tmp_path}:{tmp_path}:ro",
        "--env=https_proxy=http://proxy.example.test:3128",
    ]


def test_a_platform_joins_its_scenario() -> None:
    plain = Host.from_platform({"name": "edge-host", "image": "i", "groups": ["g"]}, "edge")
    assert plain.networks == [Network("modelops-edge")]
    given = {"name": "hub", "image": "i", "networks": [{"name": "n", "aliases": ["hub.test"]}]}
    assert Host.from_platform(given, "edge").networks == [Network("n", ["hub.test"])]


def test_every_scenario_uses_images_that_can_be_built() -> None:
    names = scenarios.names()
    assert "modules" in names
    assert set(scenarios.images(names)) <= {*image.SUITES, image.BAKED}


def test_a_play_shows_what_changed(capsys: pytest.CaptureFixture[str]) -> None:
    progress = play.Progress()
    for line in (
        "PLAY [Serve] ****",
        "TASK [modelops.serving.firewall : Render the rules] ****",
        "changed: [host]",
        "TASK [modelops.serving.firewall : Look] ****",
        "ok: [host]",
        "PLAY RECAP ****",
        "host  : ok=12   changed=7    unreachable=0    failed=0    skipped=1",
    ):
        progress.feed(line)
    shown = capsys.readouterr().out
    assert "changed  firewall : Render the rules" in shown
    assert "Look" not in shown
    assert progress.changed == 7


def test_a_failing_command_says_where_its_output_is(tmp_path: Path) -> None:
    with pytest.raises(
        report.Failure, match=r"(?s)broken.*ended with 3; all of it: .*test-run.log"
    ):
        report.run(["sh", "-c", "echo broken; exit 3"], log="test-run")
    with pytest.raises(report.Failure, match="not-a-program is not installed"):
        report.run(["not-a-program"], log="test-run")


def test_secrets_of_the_demo_are_private(tmp_path: Path) -> None:
    path = tmp_path / ".demo" / "env"
    demo._write_private(path, "API_KEY=secret\n")
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert oct(path.parent.stat().st_mode & 0o777) == "0o700"


def test_the_files_of_the_project_are_what_git_knows() -> None:
    names = {str(path) for path in ansible_test.files()}
    assert {"galaxy.yml", "Makefile", "tools/suite.py"} <= names
    assert not any(name.startswith((".venv/", ".cache/", ".demo/")) for name in names)


def test_ci_runs_exactly_make_test() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line for line in script if not line.startswith("#")][-1] == "make test"
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_cosine() -> None:
    assert cosine([1.0, 0.0], [2.0, 0.0]) == pytest.approx(1.0)
    assert cosine([1.0, 0.0], [0.0, 3.0]) == pytest.approx(0.0)
