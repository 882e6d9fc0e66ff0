# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs Ansible's commands on a test host, with Python and Ansible's own library loaded already.

Usage: agent.py SOCKET

A request is a line of JSON, ``{"command": str, "input": bytes that follow}``; the answer one of
``{"status": int, "output": bytes that follow, "errors": bytes that follow}``. A command is run by
``/bin/sh`` as the engine would run it: with the container's own environment, in ``/``, as root.
A module, which is a command that gives Python a program, is run in a fork of this process: Python's
start and the import of ``ansible.module_utils`` are most of what a module costs. Then comes the
compiling of what it brings along in its archive: each text is compiled once, and kept in the folder
of SOCKET.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib
import importlib.util
import json
import marshal
import os
import socketserver
import subprocess
import sys
import tempfile
import traceback
import zipimport
from pathlib import Path
from types import CodeType

# The controller's own ansible-core, as the host sees it
sys.path.insert(0, "/usr/local/lib/ansible-core")

for name in ("_internal._ansiballz._loader", "basic", "urls"):
    importlib.import_module(f"ansible.module_utils.{name}")

# Python sets LC_CTYPE for itself and for what it starts; a shell of the engine's would not have it
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "LC_CTYPE"}
# What Ansible sends where it pipes a module to Python, without another user or environment
MODULE = "/bin/sh -c '/usr/bin/python3 && sleep 0'"


class Request(socketserver.StreamRequestHandler):
    """One command, handled by a fork of the agent."""

    def handle(self) -> None:
        asked = json.loads(self.rfile.readline())
        given = self.rfile.read(asked["input"])
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            if asked["command"] == MODULE:
                status = run_module(given, output.fileno(), errors.fileno())
            else:
                status = subprocess.run(
                    ["/bin/sh", "-c", asked["command"]],
                    input=given,
                    stdout=output,
                    stderr=errors,
                    env=ENVIRONMENT,
                    cwd="/",
                    start_new_session=True,
                    check=False,
                ).returncode
            output.seek(0)
            errors.seek(0)
            said, complained = output.read(), errors.read()
        answer = {"status": status, "output": len(said), "errors": len(complained)}
        self.wfile.write(json.dumps(answer).encode() + b"\n" + said + complained)


def run_module(source: bytes, output: int, errors: int) -> int:
    """Run a program in a fork as ``python3`` would from its standard input; return its status."""
    process = os.fork()
    if process == 0:
        os.setsid()
        os.chdir("/")
        sys.argv = [""]
        for given, wanted in ((os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (errors, 2)):
            os.dup2(given, wanted)
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
        os._exit(_status_of(source))
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _status_of(source: bytes) -> int:
    status: object = 0
    try:
        exec(compile(source, "<stdin>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status if isinstance(status, int) else int(status is not None)


class CompiledOnce:
    """Compiles the texts of archives as Python does, but each once; forks may do so together."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._compile = zipimport._compile_source

    def __call__(self, path: str, source: bytes) -> CodeType:
        """Return the code; after the first time it names the archive of that time."""
        version = importlib.util.MAGIC_NUMBER
        kept = self._folder / hashlib.sha256(version + source).hexdigest()
        try:
            return marshal.loads(kept.read_bytes())
        except FileNotFoundError:
            code = self._compile(path, source)
        new = kept.with_suffix(f".{os.getpid()}")
        new.write_bytes(marshal.dumps(code))
        new.replace(kept)
        return code


class Agent(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    """The agent, with one fork for each command."""

    # More than Ansible has at once
    max_children = 64
    request_queue_size = 64


if __name__ == "__main__":
    path = sys.argv[1]
    zipimport._compile_source = CompiledOnce(Path(path).with_name("compiled"))
    with Agent(path, Request) as server:
        # Its folder is open to the controller's user alone
        os.chmod(path, 0o666)
        server.serve_forever()
