# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of value that a declaration may hold, each with its check and its default.

A field raises ``ValueError`` with the remedy; ``check_section`` turns that into a ``Problem`` that
names the variable and the value.
"""

from __future__ import annotations

import copy
import difflib
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timezone
from typing import Any, Union

_REQUIRED: Any = object()
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


class Problem:
    """One thing that is wrong: the variable, its value, and the remedy."""

    def __init__(self, variable: str, value: Any, remedy: str) -> None:
        self.variable, self.value, self.remedy = variable, value, remedy

    def __str__(self) -> str:
        shown = repr(self.value)
        return (
            f"{self.variable} is {shown if len(shown) <= 80 else shown[:77] + '...'}: {self.remedy}"
        )


class Field:
    """A default (or none, then the key is required) and a check."""

    def __init__(self, check: Callable[[Any], Any], default: Any) -> None:
        self.check, self.default = check, default


class Rows(Field):
    """A list of sections of one schema, empty by default."""

    def __init__(self, schema: Section) -> None:
        super().__init__(_list, [])
        self.schema = schema


class Named(Field):
    """Sections of one schema by name, none by default."""

    def __init__(self, schema: Section) -> None:
        super().__init__(_names, {})
        self.schema = schema


Section = Mapping[str, Union[Field, "Section"]]


def check_section(
    where: str, declared: Any, schema: Section, problems: list[Problem]
) -> dict[str, Any]:
    """Return ``declared`` checked and completed; append what is wrong to ``problems``."""
    if not isinstance(declared, Mapping):
        problems.append(
            Problem(where, declared, f"make it a mapping with the keys {', '.join(schema)}")
        )
        return {}
    for key in declared:
        if key not in schema:
            near = difflib.get_close_matches(str(key), list(schema), 1)
            hint = f"did you mean '{near[0]}'?" if near else f"choose from {', '.join(schema)}"
            problems.append(Problem(f"{where}.{key}", declared[key], f"unknown key; {hint}"))
    checked: dict[str, Any] = {}
    for key, field in schema.items():
        inside = f"{where}.{key}"
        if not isinstance(field, Field):
            checked[key] = check_section(inside, declared.get(key, {}), field, problems)
        elif key not in declared or declared[key] is None:
            checked[key] = copy.copy(field.default)
            if field.default is _REQUIRED:
                problems.append(Problem(inside, None, "it is required"))
        else:
            try:
                checked[key] = field.check(declared[key])
            except ValueError as error:
                problems.append(Problem(inside, declared[key], str(error)))
            else:
                if isinstance(field, Rows):
                    checked[key] = [
                        check_section(f"{inside}[{index}]", row, field.schema, problems)
                        for index, row in enumerate(checked[key])
                    ]
                elif isinstance(field, Named):
                    checked[key] = {
                        str(name): check_section(
                            f"{inside}.{name}", {} if row is None else row, field.schema, problems
                        )
                        for name, row in checked[key].items()
                    }
    return checked


def text(default: Any = _REQUIRED, pattern: str = ".*", hint: str = "text") -> Field:
    """Text that matches ``pattern`` whole; numbers (a revision 1.0) must be quoted."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("write it as text, in quotes")
        if not re.fullmatch(pattern, value):
            raise ValueError(f"give {hint}")
        return value

    return Field(check, default)


def choice(allowed: Sequence[str], default: Any = _REQUIRED) -> Field:
    """One of ``allowed``."""
    return Field(lambda value: _one_of(value, allowed), default)


def choices(allowed: Sequence[str], default: list[str]) -> Field:
    """A list of members of ``allowed``."""
    return Field(lambda value: [_one_of(item, allowed) for item in _list(value)], default)


def texts() -> Field:
    """A list of text, empty by default."""
    return Field(lambda value: [str(item) for item in _list(value)], [])


def cidr_list(default: list[str]) -> Field:
    """A list of networks in CIDR form; overlapping ones are refused."""
    return Field(networks, default)


def networks(value: Any, everybody: bool = True) -> list[str]:
    """Return the networks of a list in CIDR form; raise ``ValueError`` where two overlap.

    Without ``everybody`` a network of all addresses is refused.
    """
    found: list[Any] = []
    for item in _list(value):
        try:
            network = ipaddress.ip_network(str(item))
        except ValueError as error:
            raise ValueError(f"write each network as address/prefix ({error})") from error
        if not everybody and network.prefixlen == 0:
            raise ValueError(f"{network} is everybody; name the networks that are meant")
        for other in found:
            if network.version == other.version and network.overlaps(other):
                raise ValueError(f"{network} and {other} overlap; keep one of them")
        found.append(network)
    return [str(network) for network in found]


def names(pattern: str, hint: str) -> Field:
    """A list of different names that match ``pattern`` whole, empty by default."""

    def check(value: Any) -> list[str]:
        for index, item in enumerate(_list(value)):
            if not isinstance(item, str) or not re.fullmatch(pattern, item):
                raise ValueError(f"'{item}' is no name: give {hint}")
            if item in value[:index]:
                raise ValueError(f"'{item}' comes twice; keep one of them")
        return list(value)

    return Field(check, [])


def domain_name(or_word: str = "") -> Field:
    """A fully qualified, lower-case host name, or the word ``or_word``."""

    def check(value: Any) -> str:
        return or_word if or_word and value == or_word else _host_name(value)

    return Field(check, _REQUIRED)


def domain_names() -> Field:
    """A list of fully qualified, lower-case host names, empty by default."""
    return Field(lambda value: _unique([_host_name(item) for item in _list(value)]), [])


def ip_addresses() -> Field:
    """A list of IP addresses, empty by default."""

    def check(value: Any) -> list[str]:
        try:
            return _unique([str(ipaddress.ip_address(item)) for item in _texts(value)])
        except ValueError as error:
            raise ValueError(f"give IP addresses, each once ({error})") from error

    return Field(check, [])


def boolean(default: bool) -> Field:
    """True or false."""

    def check(value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError("give true or false, without quotes")
        return value

    return Field(check, default)


def integer(default: Any, least: int, most: int | None = None) -> Field:
    """A whole number of at least ``least``, and at most ``most``."""
    limit = f"of at least {least}" if most is None else f"from {least} to {most}"

    def check(value: Any) -> int:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value < least or (most is not None and value > most):
            raise ValueError(f"give a whole number {limit}")
        return int(value)

    return Field(check, default)


def integer_or_auto(least: int, most: int) -> Field:
    """A whole number, or ``auto``."""
    number = integer(None, least, most)

    def check(value: Any) -> Any:
        try:
            return value if value == "auto" else number.check(value)
        except ValueError as error:
            raise ValueError(f"{error}, or auto") from None

    return Field(check, "auto")


def number(default: float, least: float, most: float) -> Field:
    """A number from ``least`` to ``most``."""

    def check(value: Any) -> float:
        known = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not known or not least <= value <= most:
            raise ValueError(f"give a number from {least:g} to {most:g}")
        return float(value)

    return Field(check, default)


def time() -> Field:
    """A date, or a date and time in ISO 8601; none by default. Without a zone it is UTC."""
    return Field(iso_time, None)


def patterns() -> Field:
    """A list of regular expressions, empty by default."""

    def check(value: Any) -> list[str]:
        for item in _list(value):
            try:
                re.compile(str(item))
            except re.error as error:
                raise ValueError(f"'{item}' is no regular expression: {error}") from error
        return [str(item) for item in value]

    return Field(check, [])


def number_or_auto() -> Field:
    """A number above zero, or ``auto``."""

    def check(value: Any) -> Any:
        if value == "auto":
            return value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
            raise ValueError("give a number above 0, or auto")
        return value

    return Field(check, "auto")


def size_or_auto() -> Field:
    """A size in bytes, or with the unit K, M, G or T (powers of 1,024), or ``auto``."""

    def check(value: Any) -> Any:
        if value == "auto":
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?", str(value))
        if isinstance(value, bool) or not match or float(match[1]) <= 0:
            raise ValueError("give bytes or a size such as 512M or 4G, or auto")
        return int(float(match[1]) * _UNITS[match[2]])

    return Field(check, "auto")


def mapping_or_text() -> Field:
    """A mapping, or text that names one; none by default."""

    def check(value: Any) -> Any:
        if not isinstance(value, (Mapping, str)):
            raise ValueError(
                "give the mapping, its name in model_locks, or a path below the project's root"
            )
        return value

    return Field(check, None)


def iso_time(value: Any) -> str:
    """Return a time as ISO 8601 with its zone; raise ``ValueError`` for what is none.

    YAML makes dates of what is not in quotes.
    """
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day)
    else:
        try:
            moment = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", str(value)))
        except ValueError:
            raise ValueError("give a date such as 2027-01-31, or a time in ISO 8601") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.isoformat()


def _one_of(value: Any, allowed: Sequence[str]) -> str:
    if value not in allowed:
        near = difflib.get_close_matches(str(value), list(allowed), 1)
        raise ValueError(
            f"choose one of {', '.join(allowed)}" + (f"; did you mean '{near[0]}'?" if near else "")
        )
    return str(value)


def _list(value: Any) -> Sequence[Any]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise ValueError("give a list")
    return value


def _texts(value: Any) -> list[str]:
    return [str(item) for item in _list(value)]


def _unique(values: list[str]) -> list[str]:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"'{value}' stands there twice; give each once")
    return values


def _host_name(value: Any) -> str:
    if (
        not isinstance(value, str)
        or len(value) > 253
        or not re.fullmatch(rf"({_LABEL}\.)+{_LABEL}", value)
    ):
        raise ValueError("give a full, lower-case host name such as gte.example.com")
    return value


def _names(value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("make it a mapping from names to settings")
    return value
