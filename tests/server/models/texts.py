# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A hundred texts of one to six hundred words or signs, the same in every run."""

from __future__ import annotations

import random

COUNT = 100
LONG = 20
_ENGLISH = """
the river carries light across quiet stones while engineers measure every answer that a model
gives and compare it with what another library would have said about its meaning
""".split()
_CHINESE = list("\u4f60\u597d\u4e16\u754c\u4e2d\u6587\u6a21\u578b\u4eba\u5929\u5927\u5c0f\u4e0a")
_EMOJI = ["\U0001f600", "\U0001f680", "\U0001f9d1\u200d\U0001f4bb", "\u2764\ufe0f", "\U0001f1e8"]
_OTHERS = ["caf\u00e9", "na\u00efve", "\u041f\u0440\u0438\u0432\u0435\u0442", "x=3.14", "#!?", "\t"]


def texts() -> list[str]:
    """Eighty texts within the limit of 256 tokens or near it, twenty far beyond."""
    draw = random.Random(20261121)
    lengths = [1, 1, 2, 3, *(round(3 + index * 2.1) for index in range(COUNT - LONG - 4))]
    lengths += [round(300 + index * 300 / (LONG - 1)) for index in range(LONG)]
    found = []
    for index, length in enumerate(lengths):
        words = [draw.choice(_ENGLISH) for _place in range(length)]
        for foreign, every in ((_CHINESE, 3), (_EMOJI, 4), (_OTHERS, 5)):
            if index % every == 0:
                for place in range(0, length, 2):
                    words[place] = draw.choice(foreign)
        found.append(" ".join(words))
    return found
