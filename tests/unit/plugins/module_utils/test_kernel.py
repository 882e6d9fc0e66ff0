# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the kernel: written with their reasons, set where they can be, told where not.

Files of the test's own stand for /proc/sys.
"""

from __future__ import annotations

import os

import pytest
from ansible_collections.modelops.serving.plugins.module_utils import _kernel
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._kernel import merged

OWN = {
    "net.core.somaxconn": {"value": 4096, "least": True, "reason": "Waiting connections."},
    "net.ipv4.ip_local_port_range": {"value": "32768 60999", "reason": "Ports."},
    "vm.swappiness": {"value": 10, "reason": "Weights."},
}


@pytest.fixture
def host(tmp_path):
    """A host: ``host.knob(name, value)``, ``host.ensure(overrides)``, ``host.file``."""

    class Host:
        file = tmp_path / "60-modelops.conf"

        def path(self, name):
            return tmp_path / "sys" / name.replace(".", "/")

        def knob(self, name, value):
            self.path(name).parent.mkdir(parents=True, exist_ok=True)
            self.path(name).write_text(f"{value}\n", encoding="ascii")

        def ensure(self, overrides=None, check=False):
            settings = merged(OWN, overrides or {})
            return _kernel.ensure(str(self.file), settings, check, str(tmp_path / "sys"))

    made = Host()
    made.knob("net.core.somaxconn", 128)
    made.knob("net.ipv4.ip_local_port_range", "32768\t60999")
    made.knob("vm.swappiness", 60)
    return made


def test_what_differs_is_set_and_the_second_run_changes_nothing(host):
    first = host.ensure()
    assert (first.written, first.applied) == (True, ["net.core.somaxconn", "vm.swappiness"])
    assert host.path("vm.swappiness").read_text(encoding="ascii") == "10\n"
    assert "# Weights.\nvm.swappiness = 10\n" in host.file.read_text(encoding="utf-8")
    second = host.ensure()
    assert (second.written, second.applied, second.unapplied) == (False, [], [])


def test_check_mode_foresees_and_changes_nothing(host):
    foreseen = host.ensure(check=True)
    assert (foreseen.written, foreseen.applied) == (True, ["net.core.somaxconn", "vm.swappiness"])
    assert "in force: vm.swappiness = 60\n" in foreseen.before
    assert foreseen.after.endswith("in force: vm.swappiness = 10\n")
    assert not host.file.exists()
    assert host.path("vm.swappiness").read_text(encoding="ascii") == "60\n"


@pytest.mark.parametrize("check", [False, True])
def test_what_is_read_only_is_told_and_no_change_later(host, monkeypatch, check):
    host.knob("net.core.somaxconn", 4096)
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    for written in (True, check):
        found = host.ensure(check=check)
        assert (found.written, found.applied) == (written, [])
        (told,) = found.unapplied
        assert (told["name"], told["live"], told["value"]) == ("vm.swappiness", "60", "10")
        assert told["why"] == "it is read-only here"


def test_a_higher_value_stays_where_only_a_least_one_is_asked_for(host):
    host.knob("net.core.somaxconn", 65535)
    host.knob("vm.swappiness", 90)
    assert host.ensure().applied == ["vm.swappiness"]
    assert "net.core.somaxconn = 65535\n" in host.file.read_text(encoding="utf-8")


def test_what_the_kernel_does_not_have_is_left_out(host):
    host.path("vm.swappiness").unlink()
    assert host.ensure().missing == ["vm.swappiness"]
    assert "swappiness" not in host.file.read_text(encoding="utf-8")


def test_overrides_replace_add_and_leave_out(host):
    host.knob("net.ipv4.tcp_fin_timeout", 60)
    host.ensure({"vm.swappiness": 1, "net.core.somaxconn": None, "net.ipv4.tcp_fin_timeout": 30})
    text = host.file.read_text(encoding="utf-8")
    assert "# Set as limits_sysctl.\nvm.swappiness = 1\n" in text
    assert "net.ipv4.tcp_fin_timeout = 30\n" in text and "somaxconn" not in text


@pytest.mark.parametrize(
    "overrides",
    [{"swappiness": 1}, {"vm.swappiness": True}, {"vm.swappiness": "1\nkernel.x = 2"}, {"../x": 1}],
)
def test_what_is_no_setting_is_refused(overrides):
    with pytest.raises(ModelError, match="limits_sysctl") as caught:
        merged(OWN, overrides)
    assert caught.value.code == "invalid_option"
