# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The agent in a test host answers as the engine and Python would."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

AGENT = Path(__file__).resolve().parents[2] / "molecule" / "shared" / "host" / "agent.py"
MODULE = "/bin/sh -c '/usr/bin/python3 && sleep 0'"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("agent") / "s"
    with subprocess.Popen([sys.executable, str(AGENT), str(path)]) as process:
        limit = time.monotonic() + 60
        while not path.exists():
            assert process.poll() is None, "the agent ended"
            assert time.monotonic() < limit, "the agent does not listen"
            time.sleep(0.05)
        yield path
        process.terminate()


def ask(path: Path, command: str, given: bytes = b"") -> tuple[int, bytes, bytes]:
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(str(path))
        with channel.makefile("rwb") as stream:
            line = json.dumps({"command": command, "input": len(given)})
            stream.write(line.encode() + b"\n" + given)
            stream.flush()
            answer = json.loads(stream.readline())
            output, errors = stream.read(answer["output"]), stream.read(answer["errors"])
    return answer["status"], output, errors


def test_a_command_gets_its_input_and_gives_status_output_and_errors(agent: Path) -> None:
    command = "cat; pwd; echo bad >&2; exit 7"
    assert ask(agent, command, b"given\n") == (7, b"given\n/\n", b"bad\n")


def test_a_shell_has_no_variable_that_python_sets_for_itself(agent: Path) -> None:
    assert b"LC_CTYPE" not in ask(agent, "env")[1]


@pytest.mark.parametrize(
    ("program", "status", "output"),
    [
        ("print('x'); raise SystemExit(3)", 3, b"x\n"),
        ("import sys; print(sys.argv, __name__); sys.exit()", 0, b"[''] __main__\n"),
        ("import atexit; atexit.register(print, 'last')", 0, b"last\n"),
        ("import sys; print(repr(sys.stdin.read()))", 0, b"''\n"),
        ("import os; os.system('echo from a child')", 0, b"from a child\n"),
    ],
)
def test_a_module_ends_as_it_would_in_a_python_of_its_own(
    agent: Path, program: str, status: int, output: bytes
) -> None:
    assert ask(agent, MODULE, program.encode()) == (status, output, b"")


def test_a_module_that_fails_tells_why_and_harms_no_other(agent: Path) -> None:
    status, output, errors = ask(agent, MODULE, b"import os; os.chdir('/tmp'); 1 / 0")
    assert (status, output) == (1, b"")
    assert errors.endswith(b"ZeroDivisionError: division by zero\n")
    assert ask(agent, MODULE, b"import os; print(os.getcwd())") == (0, b"/\n", b"")


def test_what_comes_in_an_archive_is_compiled_once(agent: Path, tmp_path: Path) -> None:
    def run(name: str, text: str) -> tuple[int, bytes, bytes]:
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("brought.py", text)
        program = f"import sys; sys.path.insert(0, {str(tmp_path / name)!r}); import brought"
        return ask(agent, MODULE, program.encode())

    kept = agent.with_name("compiled")
    before = set(kept.iterdir())
    assert run("one.zip", "print('one', __file__)") == (
        0,
        f"one {tmp_path}/one.zip/brought.py\n".encode(),
        b"",
    )
    (first,) = set(kept.iterdir()) - before
    written = first.stat().st_ino, first.stat().st_mtime_ns
    assert run("two.zip", "print('one', __file__)") == (
        0,
        f"one {tmp_path}/two.zip/brought.py\n".encode(),
        b"",
    )
    assert set(kept.iterdir()) - before == {first}
    assert (first.stat().st_ino, first.stat().st_mtime_ns) == written, "it was compiled again"
    assert run("three.zip", "print('another')") == (0, b"another\n", b"")
    assert len(set(kept.iterdir()) - before) == 2
