# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the person who waits reads about a transfer on a host."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_DOING = {"listing": "listing the files"}


class Lines:
    """Turn the figures of a host, read again and again, into a line every ``pace`` seconds.

    The figures are those of ``module_utils._progress.Meter``. The first line comes after ``pace``
    seconds, so that whatever is done sooner stays silent.
    """

    def __init__(self, host: str, pace: float, clock: Callable[[], float]) -> None:
        self._host = host
        self._pace = pace
        self._clock = clock
        self._shown = clock()
        self._moved = clock()
        self._last: tuple[str, int] = ("", 0)

    def line(self, text: str) -> str:
        """Return what to show for the progress file's ``text``, empty if it is not time yet."""
        now = self._clock()
        figures = read_figures(text)
        if not figures:
            return ""
        mark = (figures["phase"], figures["done"])
        if mark != self._last:
            self._last, self._moved = mark, now
        if now - self._shown < self._pace:
            return ""
        self._shown = now
        return f"{self._host}: {describe(figures, now - self._moved >= self._pace)}"


def read_figures(text: str) -> dict[str, Any]:
    """Parse the progress file, empty if it is not there yet or not what it should be."""
    try:
        figures = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(figures, dict):
        return {}
    numbers = (figures.get(name, 0) for name in ("done", "total", "rate", "left", "percent"))
    if not all(number is None or isinstance(number, (int, float)) for number in numbers):
        return {}
    return {"done": 0, **figures, "phase": str(figures.get("phase", ""))}


def describe(figures: Mapping[str, Any], still: bool = False) -> str:
    """Say what is done, how far, how fast and how long still; ``still``: nothing moves."""
    phase, done, total = figures["phase"], figures["done"], figures.get("total")
    if not done and total is None:
        return _DOING.get(phase, phase)
    if total is None:
        parts = [f"{phase} {size(done)}"]
    else:
        percent = figures.get("percent") or 0.0
        parts = [f"{phase} {percent:.1f}% of {size(total)}"]
    if still:
        return ", ".join([*parts, "no byte since the last line"])
    parts.append(f"{size(figures.get('rate') or 0)}/s")
    if figures.get("left") is not None:
        parts.append(f"{duration(figures['left'])} left")
    return ", ".join(parts)


def size(count: float) -> str:
    """Return ``count`` bytes with a unit: 1536 is ``1.5 KiB``."""
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count /= 1024
        unit += 1
    return f"{count:.1f} {_UNITS[unit]}" if unit else f"{int(count)} B"


def duration(seconds: float) -> str:
    """Return ``seconds`` as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
