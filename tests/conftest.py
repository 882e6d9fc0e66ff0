# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What all tests share.

The test hub of molecule/shared is the fixtures ``hub_root`` and ``model_hub``; a module called ad
hoc is the fixture ``call``.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "molecule" / "shared"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from ad_hoc import call
from hub.fixtures import hub_root, model_hub

__all__ = ["call", "hub_root", "model_hub"]
