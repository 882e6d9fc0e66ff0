# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Run a playbook and show it compactly: a line for each task that changed something or was long."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .paths import ROOT
from .report import HEARTBEAT_SECONDS, TAIL_LINES, Failure, say

LONG_SECONDS = 5.0
_HEADING = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(?:\w+\.\w+\.)?(.+)\] \*+")
_STATUS = re.compile(r"^(changed|fatal|failed): \[")
_RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)")


class Progress:
    """What the play does at the moment; fed with the lines that Ansible prints."""

    def __init__(self) -> None:
        self.task = "the start"
        self.changed = 0
        self._begun = time.monotonic()
        self._shown = self._begun
        self._status = ""

    def feed(self, line: str) -> None:
        """Take one line of output."""
        heading = _HEADING.match(line)
        if heading or line.startswith("PLAY"):
            self._finish()
            self.task = heading.group(1) if heading else "the next play"
            self._begun, self._status = time.monotonic(), ""
        elif found := _STATUS.match(line):
            self._status = found.group(1)
        elif recap := _RECAP.match(line):
            self.changed += int(recap.group(3))

    def beat(self) -> None:
        """Show a sign of life if nothing was shown for a while."""
        now = time.monotonic()
        if now - self._shown >= HEARTBEAT_SECONDS:
            self._say(f"  … {self.task}, {now - self._begun:.0f} s so far")

    def _finish(self) -> None:
        took = time.monotonic() - self._begun
        if self._status or took >= LONG_SECONDS:
            self._say(f"  {self._status or 'ok':8} {self.task} ({took:.1f} s)")

    def _say(self, text: str) -> None:
        self._shown = time.monotonic()
        say(text)


def play(command: Sequence[str], *, env: Mapping[str, str], log: Path) -> int:
    """Run ``ansible-playbook``, and return how many tasks changed something.

    All of the output goes to ``log``. Raises ``Failure`` with the last lines.
    """
    progress, done = Progress(), threading.Event()

    def watch() -> None:
        while not done.wait(1.0):
            progress.beat()

    threading.Thread(target=watch, daemon=True).start()
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w", encoding="utf-8") as output,
        subprocess.Popen(
            list(command),
            cwd=ROOT,
            env={**os.environ, **env, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                output.write(line)
                progress.feed(line)
        finally:
            done.set()
    if process.returncode != 0:
        tail = "\n".join(log.read_text(encoding="utf-8").splitlines()[-TAIL_LINES:])
        raise Failure(f"{tail}\nthe playbook ended with {process.returncode}; all of it: {log}")
    return progress.changed
