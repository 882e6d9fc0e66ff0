# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limits of the systemd slices: one for all services of a host, and one below it for each.

What a user sets comes first, then the plan of the model, then what the declaration says, then what
the host has. Each value carries its reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._errors import ModelError
from ._fields import Field, Problem, check_section, integer, size_or_auto, text
from ._host import Host
from ._plan import HIGH_SHARE, RESERVE_BYTES, RESERVE_SHARE, mib, offered

TOP = "modelops.slice"
DEFAULT_TASKS = 512
_CPU_LIST = r"\d+(-\d+)?([ ,]\d+(-\d+)?)*"


def _swap() -> Field:
    sizes = size_or_auto()
    return Field(lambda value: 0 if str(value) == "0" else sizes.check(value), "auto")


OVERRIDES: dict[str, Field] = {
    "memory_max": size_or_auto(),
    "memory_high": size_or_auto(),
    "memory_swap_max": _swap(),
    "cpu_quota_percent": integer(None, 1),
    "allowed_cpus": text("", _CPU_LIST, "CPUs such as 0-3 or 0,2"),
    "tasks_max": integer(None, 16),
}


@dataclass(frozen=True)
class Setting:
    """One line of a slice."""

    name: str
    value: str
    reason: str


@dataclass(frozen=True)
class Slice:
    """A slice; ``service`` is empty for the one above all services."""

    unit: str
    service: str
    settings: tuple[Setting, ...]

    def memory(self) -> int:
        """Return its MemoryMax in bytes."""
        return int(next(item.value for item in self.settings if item.name == "MemoryMax"))


def decide(
    host: Host,
    services: Sequence[Mapping[str, Any]],
    plans: Mapping[str, Mapping[str, Any]],
    overrides: Mapping[str, Any],
    reserve: int | None = None,
    slots: int = 1,
) -> tuple[list[Slice], list[str]]:
    """Return the slices, that of the host first, and warnings.

    ``services`` have ``name``, ``slice``, ``memory`` (bytes or auto) and ``cpus`` (a number or
    auto); ``plans`` are those of the module model_plan by service; ``overrides`` hold ``OVERRIDES``
    by service; ``reserve`` are the bytes kept for the system. Raises ``ModelError``
    (insufficient_memory, invalid_option).
    """
    top, why = _top(host, reserve)
    known = _checked(overrides, [str(service["name"]) for service in services])
    slices = [Slice(TOP, "", (Setting("MemoryMax", str(top), why),))]
    for service in services:
        given = known.get(str(service["name"]), {})
        maker = _Maker(host, service, plans.get(str(service["name"]), {}), given, top, slots)
        slices.append(Slice(str(service["slice"]), str(service["name"]), maker.settings()))
    # A service of which nothing is known has all of it, which says nothing about its need.
    total = sum(item.memory() for item in slices[1:] if item.memory() < top)
    warnings = []
    if total > top:
        warnings.append(
            f"The services may use {mib(total)} of memory together, but {TOP} allows {mib(top)}: "
            "when all are at their limits, the kernel kills in one of them."
        )
    return slices, warnings


def _top(host: Host, reserve: int | None) -> tuple[int, str]:
    total = host.memory_bytes
    if reserve is None:
        top, source = offered(host), f"at least {mib(RESERVE_BYTES)} and {RESERVE_SHARE:.0%}"
    elif reserve < total:
        top, source = total - reserve, "set as limits_reserve"
    else:
        raise ModelError(
            f"limits_reserve is {mib(reserve)}, but the host has {mib(total)}; lower it.",
            "insufficient_memory",
        )
    kept = f"{mib(total - top)} of {mib(total)} stay for the system, Nginx and the page cache"
    return top, f"{kept}, {source}."


def _checked(overrides: Mapping[str, Any], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the overrides checked and complete; refuse all that is wrong in one message."""
    problems: list[Problem] = []
    checked = {}
    for name, given in overrides.items():
        where = f"limits_overrides.{name}"
        if name in names:
            checked[name] = check_section(where, given, OVERRIDES, problems)
        else:
            remedy = f"no service has that name; choose from {', '.join(names) or 'none'}"
            problems.append(Problem(where, given, remedy))
    if problems:
        raise ModelError("\n".join(map(str, problems)), "invalid_option")
    return checked


class _Maker:
    """Makes the settings of one service's slice."""

    def __init__(
        self,
        host: Host,
        service: Mapping[str, Any],
        plan: Mapping[str, Any],
        given: Mapping[str, Any],
        top: int,
        slots: int,
    ) -> None:
        self.host, self.service, self.plan, self.given = host, service, plan, given
        self.top, self.slots = top, slots
        self.where = f"limits_overrides.{service['name']}"

    def settings(self) -> tuple[Setting, ...]:
        """Return the lines in the order in which a reader wants them."""
        memory = self._memory_max()
        return (
            memory,
            self._memory_high(int(memory.value)),
            self._swap(),
            *self._cpus(),
            self._tasks(),
        )

    def _memory_max(self) -> Setting:
        wished, set_here = self.given.get("memory_max", "auto"), True
        if wished == "auto":
            wished, set_here = self._declared_memory(), False
        if wished is None:
            return Setting(
                "MemoryMax", str(self.top), f"Nothing is known of the service: all of {TOP}."
            )
        size, reason = wished, f"Set as {self.where}.memory_max."
        if not set_here:
            size, reason = wished * self.slots, self._times(self._memory_reason())
        if size > self.host.memory_bytes:
            variable = f"{self.where}.memory_max" if set_here else "limits_slots"
            raise ModelError(
                f"{variable} gives the service {mib(size)} of memory, but the host has "
                f"{mib(self.host.memory_bytes)}; lower it.",
                "insufficient_memory",
            )
        return Setting("MemoryMax", str(size), reason)

    def _declared_memory(self) -> int | None:
        if "memory_max_bytes" in self.plan:
            return int(self.plan["memory_max_bytes"]["value"])
        memory = self.service.get("memory", "auto")
        if memory == "auto":
            return None
        if int(memory) > self.host.memory_bytes:
            raise ModelError(
                f"model_services.{self.service['name']}.resources.memory is {mib(int(memory))}, "
                f"but the host has {mib(self.host.memory_bytes)}; lower it, or set it to auto.",
                "insufficient_memory",
            )
        return int(memory)

    def _memory_reason(self) -> str:
        if "memory_max_bytes" in self.plan:
            return f"The plan: {self.plan['memory_max_bytes']['reason']}"
        return "The declaration sets it as resources.memory."

    def _times(self, reason: str) -> str:
        return reason if self.slots == 1 else f"{reason} {self.slots} slots may run at once."

    def _memory_high(self, most: int) -> Setting:
        wished = self.given.get("memory_high", "auto")
        if wished == "auto":
            reason = f"{HIGH_SHARE:.0%} of MemoryMax: the kernel slows it down before it kills."
            return Setting("MemoryHigh", str(int(most * HIGH_SHARE)), f"{reason} {_VERSION_2}")
        if wished > most:
            raise ModelError(
                f"{self.where}.memory_high is {mib(wished)}, but the service's MemoryMax is "
                f"{mib(most)}; lower it, or raise memory_max.",
                "invalid_option",
            )
        return Setting("MemoryHigh", str(wished), f"Set as {self.where}.memory_high. {_VERSION_2}")

    def _swap(self) -> Setting:
        wished = self.given.get("memory_swap_max", "auto")
        if wished == "auto":
            reason = "Each request reads all weights: in swap, each would wait for the disk."
            return Setting("MemorySwapMax", "0", f"{reason} {_VERSION_2}")
        reason = f"Set as {self.where}.memory_swap_max. {_VERSION_2}"
        return Setting("MemorySwapMax", str(wished), reason)

    def _cpus(self) -> list[Setting]:
        found = []
        percent, reason = self.given.get("cpu_quota_percent"), f"Set as {self.where}."
        if percent is None and self.service.get("cpus", "auto") != "auto":
            percent = int(float(self.service["cpus"]) * 100 * self.slots)
            reason = self._times("The declaration sets it as resources.cpus.")
        if percent is not None:
            if percent > 100 * self.host.cpus:
                raise ModelError(
                    f"The CPU quota of {self.service['name']} is {percent} %, but the host has "
                    f"{self.host.cpus} CPUs; lower resources.cpus, limits_slots or "
                    f"{self.where}.cpu_quota_percent.",
                    "invalid_option",
                )
            found.append(Setting("CPUQuota", f"{percent}%", reason))
        listed = self.given.get("allowed_cpus", "")
        if listed:
            highest = max(map(int, re.findall(r"\d+", listed)))
            if highest >= self.host.cpus:
                raise ModelError(
                    f"{self.where}.allowed_cpus is '{listed}', but the host's CPUs are 0 to "
                    f"{self.host.cpus - 1}; name those.",
                    "invalid_option",
                )
            reason = f"Set as {self.where}.allowed_cpus. {_VERSION_2}"
            found.append(Setting("AllowedCPUs", listed, reason))
        return found

    def _tasks(self) -> Setting:
        if self.given.get("tasks_max") is not None:
            return Setting("TasksMax", str(self.given["tasks_max"]), f"Set as {self.where}.")
        if "tasks_max" in self.plan:
            number_of = int(self.plan["tasks_max"]["value"]) * self.slots
            reason = self._times(f"The plan: {self.plan['tasks_max']['reason']}")
            return Setting("TasksMax", str(number_of), reason)
        return Setting("TasksMax", str(DEFAULT_TASKS), "No plan: far above what a server needs.")


_VERSION_2 = "Has no effect under control groups of version 1."
