# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A callback for tests: what each task would load and build anew is there before the first.

Ansible runs each task in a fork, which loads the plugins that it meets; those that were loaded
before are inherited. The modules that Ansible builds are kept from one playbook to the next, beside
the installed collection, and go when that is installed anew.
"""

from __future__ import annotations

DOCUMENTATION = r"""
name: warm_start
type: aggregate
short_description: Load plugins before the first task, and keep built modules
description: For tests.
"""

import os
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins import loader
from ansible.plugins.callback import CallbackBase

ACTIONS = ("assert", "command", "copy", "debug", "fail", "include_vars", "normal", "set_fact")
ACTIONS += ("template", "validate_argument_spec")


class CallbackModule(CallbackBase):
    """Load plugins when the playbook starts."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "warm_start"

    def v2_playbook_on_start(self, playbook: Any) -> None:
        installed = Path(os.environ["ANSIBLE_COLLECTIONS_PATH"].split(os.pathsep)[0])
        modules = installed / "ansiballz"
        modules.mkdir(exist_ok=True)
        Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache").symlink_to(modules)
        for name in ACTIONS:
            loader.action_loader.get(f"ansible.builtin.{name}", class_only=True)
        loader.connection_loader.get("host_agent", class_only=True)
        loader.shell_loader.get("sh", class_only=True)
        for kind in (loader.filter_loader, loader.test_loader):
            for plugin in kind.all():
                assert plugin
        own = installed / "ansible_collections" / "modelops" / "serving" / "plugins" / "filter"
        for path in own.glob("[a-z]*.py"):
            loader.filter_loader.get(f"modelops.serving.{path.stem}")
