# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A callback for tests: after each playbook, a JSON file that names the tasks that changed.

The files are numbered in the order of the runs, ``$MODELOPS_RECORDS/<number>.json``:
``{"playbook": ..., "check": true|false, "changed": [{"host": ..., "task": ...}]}``.
"""

from __future__ import annotations

DOCUMENTATION = r"""
name: record_changes
type: aggregate
short_description: Record the tasks that changed something
description: For tests.
"""

import json
import os
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    """Collect changed tasks and write them at the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "record_changes"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.playbook = ""
        self.changed: list[dict[str, str]] = []

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self.playbook = os.path.basename(playbook._file_name)

    def v2_runner_on_ok(self, result: Any) -> None:
        if result.is_changed():
            self.changed.append({"host": result.host.get_name(), "task": result.task.get_name()})

    def v2_playbook_on_stats(self, stats: Any) -> None:
        folder = os.environ["MODELOPS_RECORDS"]
        os.makedirs(folder, exist_ok=True)
        record = {
            "playbook": self.playbook,
            "check": bool(context.CLIARGS.get("check")),
            "changed": self.changed,
        }
        path = os.path.join(folder, f"{len(os.listdir(folder)):02d}.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=1)
