# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A connection for tests: Docker's, but commands and files go to the agent in the host.

An exec of the engine and a start of Python cost more than most of what a task does on a host. Where
no agent listens, as after a restart of the host, the engine is asked.
"""

from __future__ import annotations

DOCUMENTATION = r"""
name: host_agent
short_description: Run tasks in a test host by its agent
description: For tests.
options:
  remote_addr:
    description: The container.
    default: inventory_hostname
    vars: [{name: inventory_hostname}, {name: ansible_host}, {name: ansible_docker_host}]
  remote_user:
    description: Another user than the container's own, by the engine only.
    vars: [{name: ansible_user}, {name: ansible_docker_user}]
  docker_extra_args:
    description: Further arguments of the engine's client.
    default: ''
  container_timeout:
    description: As in Docker's connection.
    type: int
    default: 10
  extra_env:
    description: As in Docker's connection.
    type: dict
    vars: [{name: ansible_docker_extra_env}]
  working_dir:
    description: As in Docker's connection.
    type: str
    vars: [{name: ansible_docker_working_dir}]
  privileged:
    description: As in Docker's connection.
    type: bool
    default: false
"""

import json
import os
import socket
from shlex import quote
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible_collections.community.docker.plugins.connection.docker import (
    Connection as DockerConnection,
)


class Connection(DockerConnection):
    """Docker's connection with a shorter way."""

    transport = "host_agent"

    def exec_command(
        self, cmd: str, in_data: bytes | None = None, sudoable: bool = False
    ) -> tuple[int, bytes, bytes]:
        channel = None if self._needs_engine() else self._reach_agent()
        if channel is None:
            answer: tuple[int, bytes, bytes] = super().exec_command(cmd, in_data, sudoable)
            return answer
        with channel:
            return self._ask(channel, cmd, in_data or b"")

    def put_file(self, in_path: str, out_path: str) -> None:
        channel = None if self._needs_engine() else self._reach_agent()
        if channel is None:
            super().put_file(in_path, out_path)
            return
        with channel, open(in_path, "rb") as file:
            where = quote(self._prefix_login_path(out_path))
            status, _output, errors = self._ask(channel, f"cat > {where}", file.read())
        if status != 0:
            raise AnsibleConnectionFailure(f"{in_path} does not reach {out_path}: {errors!r}")

    def _needs_engine(self) -> bool:
        password = self.become and self.become.expect_prompt()
        return bool(password or self.get_option("remote_user"))

    def _reach_agent(self) -> socket.socket | None:
        agents = os.path.join(os.environ["MOLECULE_PROJECT_DIRECTORY"], ".cache", "agents")
        channel = socket.socket(socket.AF_UNIX)
        try:
            folder = os.open(os.path.join(agents, self.get_option("remote_addr")), os.O_PATH)
            try:
                # By its folder, since the path of a socket may have no more than 107 bytes
                channel.connect(f"/proc/self/fd/{folder}/socket")
            finally:
                os.close(folder)
        except OSError:
            channel.close()
            return None
        return channel

    @staticmethod
    def _ask(channel: socket.socket, command: str, data: bytes) -> tuple[int, bytes, bytes]:
        asked: dict[str, Any] = {"command": command, "input": len(data)}
        with channel.makefile("rwb") as stream:
            stream.write(json.dumps(asked).encode() + b"\n" + data)
            stream.flush()
            line = stream.readline()
            if not line:
                raise AnsibleConnectionFailure("the host's agent ended without an answer")
            answer = json.loads(line)
            output, errors = stream.read(answer["output"]), stream.read(answer["errors"])
        return answer["status"], output, errors
