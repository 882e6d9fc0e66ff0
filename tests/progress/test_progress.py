# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What the person sees who waits for model_snapshot, through real playbook runs on this machine.

The hub is the test hub, a stand-in, made slow. The hosts are names for this machine.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hub import Hub

LINE = re.compile(
    r"^(?P<host>\w+): fetching (?P<percent>[\d.]+)% of (?P<total>[\d.]+ \w+), "
    r"(?P<rate>[\d.]+ \w+)/s(, (?P<left>[\d:]+) left)?$",
    re.MULTILINE,
)
SIZE = 3_000_000
SECONDS = 6
BINARIES = Path(sys.executable).parent
Play = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def slow_hub(hub_root: Path, model_hub: Hub) -> Hub:
    """The test hub with one model that takes about ``SECONDS`` to fetch."""
    folder = hub_root / "owner" / "model"
    folder.mkdir(parents=True)
    header = json.dumps({"w": {"dtype": "U8", "shape": [SIZE], "data_offsets": [0, SIZE]}}).encode()
    weights = len(header).to_bytes(8, "little") + header + bytes(SIZE)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.json").write_text('{"model_type": "bert", "architectures": ["BertModel"]}')
    model_hub.bytes_per_second = SIZE // SECONDS
    return model_hub


@pytest.fixture
def project(tmp_path: Path, slow_hub: Hub) -> Iterator[Path]:
    """A folder with a play for the hosts one and two, and a home for what Ansible leaves."""
    folder = tmp_path / "project"
    (folder / "home").mkdir(parents=True)
    local = f"ansible_connection=local ansible_python_interpreter={sys.executable}"
    (folder / "hosts").write_text(f"one {local}\ntwo {local}\n")
    options = {
        "source": "http",
        "id": "owner/model",
        "revision": "v1.0.0",
        "endpoint": f"{slow_hub.url}/store",
        "store": f"{tmp_path}/store/{{{{ inventory_hostname }}}}",
        "retries": 0,
    }
    task = {"name": "Fetch", "modelops.serving.model_snapshot": options, "register": "fetched"}
    show = {"ansible.builtin.debug": {"var": "fetched"}, "tags": ["never", "show"]}
    play = [{"hosts": "all", "gather_facts": False, "tasks": [task, show]}]
    (folder / "play.yml").write_text(json.dumps(play))
    yield folder
    # What a play left on its host: files of jobs and progress, or running processes.
    assert list((folder / "home").glob("jobs/*")) == []
    assert job_processes(folder) == []


def environment(project: Path, **more: str) -> dict[str, str]:
    home = project / "home"
    own = {"ANSIBLE_REMOTE_TMP": str(home / "tmp"), "ANSIBLE_ASYNC_DIR": str(home / "jobs")}
    return {**os.environ, **own, "ANSIBLE_FORKS": "2", "ANSIBLE_NOCOLOR": "true", **more}


@pytest.fixture
def play(project: Path) -> Play:
    """A function that runs the play with an environment and command line flags."""

    def run(*flags: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(project, *flags),
            check=False,
            env=environment(project, **env),
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def command(project: Path, *flags: str) -> list[str]:
    program = str(BINARIES / "ansible-playbook")
    files = ["-i", str(project / "hosts"), str(project / "play.yml")]
    return [program, *files, "-e", "modelops_progress_seconds=1", *flags]


def job_processes(project: Path) -> list[int]:
    """Return the ids of the processes of modules that this project's plays started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_text().split("\0")
        except OSError:
            continue
        module = words[1] if len(words) > 1 else ""
        if module.startswith(f"{project}/home/tmp/") and "AnsiballZ_model_snapshot" in module:
            found.append(int(entry.name))
    return found


@contextmanager
def playing(project: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the play for the host one, up to its first line of progress; then to its end."""
    with subprocess.Popen(
        command(project, "--limit", "one"),
        env=environment(project),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        assert any(LINE.match(line) for line in running.stderr), "no line of progress"
        yield running
        running.communicate(timeout=60)


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    for _attempt in range(600):
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"no {what} within a minute")


@pytest.mark.parametrize("pipelining", ["false", "true"])
def test_two_hosts_show_how_far_they_are(play: Play, pipelining: str) -> None:
    done = play(ANSIBLE_PIPELINING=pipelining)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [match.groupdict() for match in LINE.finditer(done.stderr)]
    for host in ("one", "two"):
        own = [line for line in lines if line["host"] == host]
        percents = [float(line["percent"]) for line in own]
        assert len(own) >= 2, done.stderr
        assert percents == sorted(percents) and 0 < percents[-1] <= 100, percents
        assert own[-1]["left"] and own[-1]["total"] == "2.9 MiB", own
        assert f"changed: [{host}]" in done.stdout
    assert not LINE.search(done.stdout)


def test_lines_come_while_the_module_runs(project: Path) -> None:
    with playing(project) as running:
        still = job_processes(project)
    assert still and running.returncode == 0


def test_the_result_is_the_one_of_an_ordinary_call(play: Play, tmp_path: Path) -> None:
    def result(*flags: str) -> dict[str, Any]:
        done = play("--tags", "all,show", "--limit", "one", *flags)
        assert done.returncode == 0, done.stdout + done.stderr
        assert bool(LINE.search(done.stderr)) is not flags
        text = done.stdout.partition("ok: [one] => ")[2].partition("\nPLAY RECAP")[0]
        return dict(json.loads(text)["fetched"])

    watched = result()
    subprocess.run(["chmod", "-R", "u+w", str(tmp_path / "store")], check=True)
    (tmp_path / "store").rename(tmp_path / "first")
    plain = result("-e", "modelops_progress_seconds=0")
    for figure in ("seconds", "rate", "left"):
        assert watched["transfer"].pop(figure) is not None
        plain["transfer"].pop(figure)
    assert watched == plain


def test_check_mode_shows_none_and_changes_nothing(play: Play, tmp_path: Path) -> None:
    done = play("--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed: [one]" in done.stdout
    assert not LINE.search(done.stderr) and not (tmp_path / "store").exists()


def test_a_failure_passes_with_message_and_code(play: Play, slow_hub: Hub) -> None:
    slow_hub.faults.add("status_403", "model.safetensors", count=-1)
    done = play("--limit", "one")
    assert done.returncode == 2
    failed = json.loads(re.findall(r"fatal: \[one\]: FAILED! => (.*)", done.stdout)[0])
    assert failed["code"] == "access_denied" and "HTTP 403" in failed["msg"], failed


def test_a_wrong_option_is_refused(play: Play) -> None:
    done = play("--limit", "one", "-e", "modelops_progress_seconds=often")
    assert done.returncode == 2
    assert "modelops_progress_seconds is 'often'" in done.stdout + done.stderr


@pytest.mark.parametrize("wrapper", [False, True], ids=["module", "module-and-wrapper"])
def test_a_killed_module_does_not_hang(project: Path, wrapper: bool) -> None:
    with playing(project) as running:
        module = job_processes(project)[0]
        if wrapper:
            os.killpg(os.getpgid(module), signal.SIGKILL)
        else:
            os.kill(module, signal.SIGKILL)
        output = running.communicate(timeout=60)[0]
    assert running.returncode == 2
    assert '"code": "process_ended"' in output and "ended without an answer" in output, output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_play_ends_its_module(project: Path, number: signal.Signals) -> None:
    with playing(project) as running:
        running.send_signal(number)
    assert running.returncode != 0
    wait_for(lambda: not job_processes(project), "end of the module")
    wait_for(lambda: not list((project / "home").glob("jobs/*")), "removal of its files")


def test_an_asynchronous_task_stays_one(play: Play, project: Path) -> None:
    tasks = json.loads((project / "play.yml").read_text())
    tasks[0]["tasks"][0].update({"async": 60, "poll": 1})
    (project / "play.yml").write_text(json.dumps(tasks))
    done = play("--limit", "one")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ASYNC OK on one" in done.stdout and not LINE.search(done.stderr)


def test_ansible_runner_shows_the_lines(project: Path, tmp_path: Path) -> None:
    base = tmp_path / "runner"
    (base / "env").mkdir(parents=True)
    for folder, name in (("inventory", "hosts"), ("project", "play.yml")):
        (base / folder).mkdir()
        (base / folder / name).write_text((project / name).read_text())
    (base / "env" / "extravars").write_text('{"modelops_progress_seconds": 1}')
    done = subprocess.run(
        [str(BINARIES / "ansible-runner"), "run", str(base), "-p", "play.yml"],
        check=False,
        env=environment(project, PATH=f"{BINARIES}{os.pathsep}{os.environ['PATH']}"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout.replace("\r", "")
    assert {match["host"] for match in LINE.finditer(shown)} == {"one", "two"}, shown
