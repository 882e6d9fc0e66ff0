# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""How much of the host a model's unit sees, by accelerator and network, as systemd scores it.

Only the CPU's profile was run. Those of the accelerators are rendered and scored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from contexts import SERVICES, SYSTEMS, context
from rendering import render
from unit_files import can_analyze, exposure, settings

DEVICES = {
    "none": set(),
    "cuda": {"char-nvidia*"},
    "ascend": {"/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"}
    | {f"/dev/davinci{number}" for number in range(16)},
}
# With a network: a Redis by TCP, or another server that computes.
MOST = {
    ("none", False): 1.0,
    ("none", True): 1.5,
    ("cuda", False): 1.2,
    ("cuda", True): 1.8,
    ("ascend", False): 1.2,
    ("ascend", True): 1.8,
}


def unit(accelerator: str, networked: bool) -> str:
    storage = "rediss://192.0.2.7:6379" if networked else "memory"
    service: dict[str, Any] = {
        **SERVICES["tiny"],
        "rate_limit": {"storage": storage},
        "resources": {"accelerator": accelerator},
    }
    variables = context("model_server", SYSTEMS[0], {"tiny": service})
    return render("model_server", "model-server@.service.j2", variables)


def values(text: str, key: str) -> list[str]:
    return [value for _section, name, value in settings(text) if name == key]


@pytest.mark.skipif(not can_analyze(), reason="this machine's systemd cannot look at files")
@pytest.mark.parametrize(("accelerator", "networked"), MOST)
def test_the_score_is_at_most_what_was_stated(
    accelerator: str, networked: bool, tmp_path: Path
) -> None:
    path = tmp_path / "modelops-tiny@.service"
    path.write_text(unit(accelerator, networked), encoding="utf-8")
    assert exposure(path) <= MOST[accelerator, networked]


@pytest.mark.parametrize(("accelerator", "networked"), MOST)
def test_an_accelerator_opens_its_devices_and_nothing_else(
    accelerator: str, networked: bool
) -> None:
    text, plain = unit(accelerator, networked), unit("none", networked)
    assert {value.removesuffix(" rw") for value in values(text, "DeviceAllow")} == DEVICES[
        accelerator
    ]
    differing = {name for _section, name, _value in set(settings(text)) ^ set(settings(plain))}
    opened = {"PrivateDevices", "DevicePolicy", "DeviceAllow", "RestrictAddressFamilies"}
    groups = {"SupplementaryGroups"} if accelerator == "ascend" else set()
    assert differing == (set() if accelerator == "none" else opened | groups)
    assert values(text, "DevicePolicy") == ([] if accelerator == "none" else ["closed"])


@pytest.mark.parametrize("networked", [False, True])
def test_what_would_slow_the_model_down_is_left_out(networked: bool) -> None:
    text = unit("none", networked)
    assert values(text, "ProcSubset") == [], "torch reads /proc/cpuinfo to choose its kernels"
    assert values(text, "MemoryDenyWriteExecute") == [], "oneDNN compiles at run time"
    assert values(text, "PrivateNetwork") == ([] if networked else ["yes"])
