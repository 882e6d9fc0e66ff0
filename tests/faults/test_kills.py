# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A killed module leaves nothing that could be taken for a model, and the next run makes it right.

``KILLS`` in the environment is the number of random kills, ``KILL_SEED`` what they follow from;
``make soak`` does more of them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from kill_trials import CASES, LARGE_SIZE, Trials, random_kills


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    with Trials(tmp_path_factory.mktemp("kills")) as made:
        yield made


@pytest.mark.parametrize("case", CASES)
def test_killed_at_every_changing_call(trials: Trials, case: str) -> None:
    points = trials.every_point(case)
    # Renames, modes, links and syncs of three files: far fewer mean that the calls are not seen.
    assert points > 15, points


def test_killed_at_random(tmp_path: Path) -> None:
    count = int(os.environ.get("KILLS", "6"))
    seed = int(os.environ.get("KILL_SEED", random.randrange(2**32)))
    print(f"KILL_SEED={seed}")  # shown if it fails
    with Trials(tmp_path, LARGE_SIZE) as trials:
        assert len(list(random_kills(trials, count, seed))) == count
