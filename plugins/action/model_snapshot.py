# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the module model_snapshot beside us, and show meanwhile how far it is."""

from __future__ import annotations

import json
import math
import secrets
import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from posixpath import basename, dirname
from types import FrameType
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible.utils.vars import merge_hash
from ansible_collections.modelops.serving.plugins.plugin_utils.progress import Lines

PACE = "modelops_progress_seconds"
PACE_SECONDS = 5.0
# The first look stays on the host for so many tenths of a second: what is unchanged ends within.
FIRST_LOOK = 10
POLL_SECONDS = (0.5, 1.0, 2.0)
# A download has no deadline of its own; this one only ends a job that nobody knows any more.
LIMIT_SECONDS = 30 * 24 * 3600
LOST_POLLS = 5
GONE_LOOKS = 3
# What async_wrapper writes before the module has answered.
RUNNING = '{"started": true, "finished": false'
# What only the running of the job adds to the module's answer.
OF_THE_JOB = ("ansible_job_id", "results_file", "started", "finished")

display = Display()


class ActionModule(ActionBase):
    """Whatever is no long transfer is an ordinary call of the module."""

    _supports_check_mode = True
    _supports_async = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the module's result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        pace = self._pace(task_vars)
        asynchronous = bool(self._task.async_val) and not self._connection.has_native_async
        answer = None
        if pace and self._can_watch():
            answer = _Job(self, pace, task_vars).run()
        if answer is None:
            answer = self._execute_module(task_vars=task_vars, wrap_async=asynchronous)
        return merge_hash(result, answer)

    def _pace(self, task_vars: dict[str, Any]) -> float:
        """Return every how many seconds a line is wanted, 0 for never."""
        value = self._templar.template(task_vars.get(PACE, PACE_SECONDS))
        try:
            pace = float(value)
        except (TypeError, ValueError):
            pace = -1.0
        if not 0 <= pace < math.inf:
            raise AnsibleActionFail(
                f"{PACE} is '{value}'; it is a number of seconds, 0 for no progress lines."
            )
        return pace

    def _can_watch(self) -> bool:
        arguments = self._task.args
        return not (
            self._task.async_val
            or self._task.check_mode
            or arguments.get("state") == "absent"
            or arguments.get("progress_file")
            or self._connection.has_native_async
            or self._connection.always_pipeline_modules
        )


class _Job:
    """One run of the module in the background of the host."""

    def __init__(self, action: ActionModule, pace: float, task_vars: dict[str, Any]) -> None:
        self._action = action
        self._task_vars = task_vars
        host = task_vars.get("inventory_hostname", "")
        delegate = action._task.delegate_to
        self._lines = Lines(f"{host} -> {delegate}" if delegate else host, pace, time.monotonic)
        self._longest = min(pace, POLL_SECONDS[-1])
        # Beside the job's own file; the module expands the path as the user whom it runs as.
        folder = action.get_shell_option("async_dir", default="~/.ansible_async")
        self._progress = f"{folder}/model_snapshot.{secrets.token_hex(8)}.progress"
        self._file = ""
        self._ended = False
        self._own = ""  # a part of the command line of all the job's processes

    def run(self) -> dict[str, Any] | None:
        """Start the module, wait for it, return its answer; leave nothing behind.

        None if it cannot be started in the background, as for a user without a home.
        """
        with _signals_raise():
            try:
                started = self._start()
                if started.get("failed") or "results_file" not in started:
                    return None
                self._file = started["results_file"]
                self._progress = f"{dirname(self._file)}/{basename(self._progress)}"
                answer = self._wait(started["ansible_job_id"])
                return {name: answer[name] for name in answer if name not in OF_THE_JOB}
            finally:
                with suppress(AnsibleConnectionFailure):
                    self._clean()

    def _start(self) -> dict[str, Any]:
        action, task = self._action, self._action._task
        if action._connection._shell.tmpdir is None:
            action._make_tmp_path()
        self._own = action._connection._shell.tmpdir
        # The limit is read from the task, which must not look asynchronous to anyone else.
        task.async_val = LIMIT_SECONDS
        try:
            answer: dict[str, Any] = action._execute_module(
                module_args={**task.args, "progress_file": self._progress},
                task_vars=self._task_vars,
                wrap_async=True,
            )
        finally:
            task.async_val = 0
        return answer

    def _wait(self, job: str) -> dict[str, Any]:
        gone = 0
        pauses = self._pauses()
        state, text = self._look(FIRST_LOOK)
        while True:
            if state == "ended":
                self._ended = True
                return self._answer(job, text)
            # Asked again: the answer may have been written between the two looks of one.
            gone = 0 if state == "running" else gone + 1
            if gone == GONE_LOOKS:
                return _killed("")
            line = self._lines.line(text)
            if line:
                # To stderr: it is not held back where the output is a file or a pipe, and stdout
                # stays what the chosen callback makes of it.
                display.display(line, stderr=True)
            time.sleep(next(pauses))
            state, text = self._look()

    def _pauses(self) -> Iterator[float]:
        yield from POLL_SECONDS[:-1]
        while True:
            yield self._longest

    def _look(self, tenths: int = 0) -> tuple[str, str]:
        """Ask the host once, which waits up to ``tenths`` for the end; return a state and a text.

        ``ended`` comes with the module's answer, ``running`` and ``gone`` with the progress file,
        no state at all with whatever kept the host from answering.
        """
        file, progress = shlex.quote(self._file), shlex.quote(self._progress)
        running = f"grep -qs {shlex.quote('^' + RUNNING)} {file}"
        command = (
            f"n=0; while [ $n -lt {tenths} ] && {running}; do sleep 0.1; n=$((n + 1)); done; "
            f"if ! {running}; then echo ended; cat {file}; exit; fi; "
            f'if test -e /proc/self/cmdline && test -z "$({self._own_processes()})"; '
            f"then echo gone; else echo running; fi; cat {progress} 2>/dev/null || true"
        )
        for lost in range(LOST_POLLS):
            try:
                answer = self._action._low_level_execute_command(command)
            except AnsibleConnectionFailure:
                if lost == LOST_POLLS - 1:
                    raise
                time.sleep(POLL_SECONDS[-1])
            else:
                state, _newline, text = answer["stdout"].partition("\n")
                return state.strip(), text
        raise AssertionError("the last attempt returns or raises")

    def _own_processes(self) -> str:
        """Return the command that lists the files in /proc of the job's processes."""
        # The dots in brackets keep the pattern from finding the shell that looks for it.
        own = basename(self._own.rstrip("/")).replace(".", "[.]")
        return f"grep -ls -e {shlex.quote(own)} /proc/[0-9]*/cmdline"

    def _answer(self, job: str, text: str) -> dict[str, Any]:
        try:
            answer: Any = json.loads(text)
        except ValueError:
            answer = None
        # Where the answer holds more than plain values (warnings), Ansible's own reader is needed.
        if not isinstance(answer, dict) or '"__ansible_type"' in text:
            answer = self._action._execute_module(
                module_name="ansible.legacy.async_status",
                module_args={"jid": job, "mode": "status", "_async_dir": dirname(self._file)},
                task_vars=self._task_vars,
            )
        # async_wrapper found no answer in what the module wrote.
        if answer.get("failed") and "cmd" in answer and "data" in answer:
            return _killed(str(answer.get("stderr", "")))
        return dict(answer)

    def _clean(self) -> None:
        """Remove the job's files; if it has not ended, first its processes and what they began."""
        files = " ".join(shlex.quote(name) for name in (self._file, self._progress) if name)
        command = f"rm -f {files} {shlex.quote(self._progress + '.new')}"
        if self._own and not self._ended:
            # Whole groups first: who waits for the module must not write its answer any more. The
            # folder's name is in a command of its own, for this one ends whatever names it.
            self._action._low_level_execute_command(
                f"all=$({self._own_processes()} | cut -d/ -f3); "
                "for p in $all; do kill -TERM -- -$p; done 2>/dev/null; "
                "kill -TERM $all 2>/dev/null"
            )
            command = f"{command}; rm -rf {shlex.quote(self._own)}"
        self._action._low_level_execute_command(command)


def _killed(stderr: str) -> dict[str, Any]:
    last = stderr.strip().splitlines()[-1:]
    return {
        "failed": True,
        "msg": "The module's process on the host ended without an answer"
        + (f": {last[0]}. " if last else ", as one that is killed or finds no memory. ")
        + "Look at the kernel's log of the host (journalctl -k) and run again; the next run goes "
        "on where this one stopped.",
        "code": "process_ended",
        "stderr": stderr,
    }


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Turn what ends the worker into an exception, so that the host is cleaned up first."""

    def leave(number: int, frame: FrameType | None) -> None:
        for known in former:
            signal.signal(known, signal.SIG_IGN)
        caught.append((number, frame))
        raise KeyboardInterrupt

    caught: list[tuple[int, FrameType | None]] = []
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in former:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        for number, frame in caught:
            handler = former[number]
            if callable(handler):
                handler(number, frame)
