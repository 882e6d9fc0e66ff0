# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The public addresses: presets with the same keys, overrides, and clear refusals."""

from __future__ import annotations

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._addresses import PRESETS, addresses


def test_every_preset_has_the_same_keys():
    assert len({frozenset(preset) for preset in PRESETS.values()}) == 1


def test_an_override_replaces_one_address_and_leaves_the_preset_alone():
    chosen = addresses("china", {"torch_cpu_index": ""})
    assert chosen["torch_cpu_index"] == ""
    assert chosen["huggingface"] == PRESETS["china"]["huggingface"]
    assert PRESETS["china"]["torch_cpu_index"]


@pytest.mark.parametrize(
    ("preset", "overrides", "said"),
    [
        ("mars", {}, "modelops_mirror is 'mars'; choose one of china, default"),
        ("default", {"hub": "x"}, "unknown key 'hub'"),
    ],
)
def test_what_is_unknown_is_refused_by_name(preset, overrides, said):
    with pytest.raises(ValueError, match=said):
        addresses(preset, overrides)
