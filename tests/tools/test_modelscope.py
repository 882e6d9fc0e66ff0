# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""When vectors made anew count as those that are committed; ModelScope is run by make soak only."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools import modelscope  # noqa: E402
from tools.report import Failure  # noqa: E402


def goldens(**fields: Any) -> dict[str, Any]:
    return {
        "sequence_length": 512,
        "texts": ["a", "b"],
        "weights_sha256": "00",
        "normalized": [[0.6, 0.8], [1.0, 0.0]],
        "raw": [[3.0, 4.0], [2.0, 0.0]],
        "versions": {"modelscope": "1"},
        **fields,
    }


def test_vectors_within_the_tolerance_count() -> None:
    made = goldens(raw=[[3.0, 4.000009], [2.0, 0.0]], versions={"modelscope": "2"})
    found = modelscope.compare(made, goldens())
    assert found["largest_difference"] == {"normalized": 0.0, "raw": pytest.approx(9e-6)}
    assert (found["texts"], found["dimensions"]) == (2, 2)
    assert found["versions"] == {"modelscope": "2"}
    assert found["versions_committed"] == {"modelscope": "1"}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"normalized": [[0.6, 0.8], [1.0, 2e-5]]}, "'normalized' differs by 2e-05"),
        ({"raw": [[3.0, 4.0], [2.0, float("nan")]]}, "'raw' differs by nan"),
        ({"raw": [[float("nan"), 4.0], [2.0, 0.0]]}, "'raw' differs by nan"),
        ({"raw": [[3.0, 4.0]]}, "'raw' differs by inf"),
        ({"raw": [[3.0, 4.0], [2.0]]}, "'raw' differs by inf"),
        ({"texts": ["a", "c"]}, "'texts' is not as in"),
        ({"weights_sha256": "01"}, "'weights_sha256' is not as in"),
    ],
)
def test_all_else_is_a_failure(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(Failure, match=says):
        modelscope.compare(goldens(**changed), goldens())


def test_the_committed_goldens_are_their_own() -> None:
    committed = modelscope._read(modelscope.GOLDENS)
    found = modelscope.compare(committed, committed)
    assert (found["texts"], found["dimensions"]) == (7, 64)
    assert set(found["largest_difference"].values()) == {0.0}
