# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notice what the kernel killed for want of memory, although systemd may not have noticed.

Under control groups of version 1 a unit stays active when one of its processes is killed so. Under
version 2 ``OOMPolicy=stop`` ends the unit, and its counters with it. So a timer counts each minute,
and each slot once more when it stops, before its group is removed.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .._files import write_atomic
from .alert import send
from .groups import Counter, counters, group_of
from .output import error, say, warn

EVENT = "service_memory_kill"
Record = dict[str, Any]


def updated(record: Mapping[str, Any], found: Mapping[str, Counter]) -> Record:
    """Return the record of a service after ``found`` was counted.

    ``kills`` only grows. A count that went back, or that belongs to another group of the same
    name, began anew at 0.
    """
    before = record.get("groups", {})
    kills = record.get("kills", 0)
    for path, counter in found.items():
        inode, count = before.get(path, (None, 0))
        same = inode == counter.inode and count <= counter.count
        kills += counter.count - (count if same else 0)
    groups = {path: [counter.inode, counter.count] for path, counter in found.items()}
    return {"kills": kills, "told": record.get("told", 0), "groups": groups}


def exposition(records: Mapping[str, Record], now: int) -> str:
    """Return the metrics in Prometheus' text format."""
    name, checked = "modelops_memory_kills_total", "modelops_memory_checked_timestamp_seconds"
    lines = [
        f"# HELP {name} Processes of the service that the kernel killed for want of memory.",
        f"# TYPE {name} counter",
        *(f'{name}{{service="{service}"}} {item["kills"]}' for service, item in records.items()),
        f"# HELP {checked} When that was counted last.",
        f"# TYPE {checked} gauge",
        f"{checked} {now}",
    ]
    return "\n".join(lines) + "\n"


class Watch:
    """Counts the kills of services: ``slices`` are their units by name.

    ``state`` is a file in a folder of its own, ``metrics`` a file that is replaced whole.
    """

    def __init__(self, state: str, metrics: str, slices: Mapping[str, str]) -> None:
        self.state, self.metrics, self.slices = state, metrics, slices

    def count(self) -> None:
        """Count, log what is new, and write the metrics."""
        with self._locked():
            before = self._read()
            after = {}
            for service, unit in self.slices.items():
                group = group_of(unit)
                record = before.get(service, {})
                after[service] = updated(record, counters(group) if group else {})
                new = after[service]["kills"] - record.get("kills", 0)
                if new:
                    warn(
                        f"{service}: the kernel killed {new} of its processes for want of memory; "
                        "give it more (resources.memory), or less to do at once"
                    )
            self._write(after)
            write_atomic(self.metrics, exposition(after, int(time.time())))

    def tell(self, webhook: str) -> None:
        """Send one alert for all kills of which none was sent; without a webhook, forget them.

        An alert that is not taken is sent again by the next run.
        """
        records = self._read()
        untold = [
            {
                "service": service,
                "kills": record["kills"] - record["told"],
                "total": record["kills"],
            }
            for service, record in records.items()
            if record["kills"] > record["told"]
        ]
        if not untold:
            say("No kill for want of memory that was not told already")
            return
        # Not locked: a webhook that is slow must not hold up a slot that stops.
        if webhook and not send(webhook, EVENT, services=untold):
            return
        with self._locked():
            current = self._read()
            for item in untold:
                if item["service"] in current:
                    current[item["service"]]["told"] = item["total"]
            self._write(current)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder = os.open(os.path.dirname(self.state) or ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _read(self) -> dict[str, Record]:
        try:
            with open(self.state, encoding="utf-8") as stream:
                known: dict[str, Record] = json.load(stream)
        except FileNotFoundError:
            return {}
        except ValueError:
            error(f"{self.state} cannot be read; what was counted before is forgotten")
            return {}
        return known

    def _write(self, records: Mapping[str, Record]) -> None:
        write_atomic(self.state, json.dumps(records, indent=2, sort_keys=True) + "\n")
