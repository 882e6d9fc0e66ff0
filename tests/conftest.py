# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What all tests share: the test hub of molecule/shared, as the fixtures hub_root and model_hub."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "molecule" / "shared"))

from hub.fixtures import hub_root, model_hub

__all__ = ["hub_root", "model_hub"]
