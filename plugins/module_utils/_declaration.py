# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The declaration of services: merge, check, complete.

``model_services`` says what all environments share, ``model_services_overrides`` what one of them
changes. ``normalise`` lays the second over the first, checks every value and returns services in
which every key is present, so that no role has to guess a default. All problems are collected
and reported together.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ._consistency import check_service, network_of
from ._fields import Problem, check_section
from ._host_names import SSLIP, alternative_names, domain_of_address
from ._model_task import offered_tasks
from ._neighbours import check_neighbours
from ._routes import routes_for
from ._schema import SCHEMA

ReadLock = Callable[[str], Any]
ReadText = Callable[[str], str]

SLOTS = ("blue", "green")

_SERVICE_NAME = re.compile(r"[a-z][a-z0-9-]{0,21}")


class DeclarationError(ValueError):
    """The declaration is wrong; ``problems`` says where, what and what to do, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def merge(base: Any, over: Any) -> Any:
    """Lay ``over`` on ``base`` key by key; lists are replaced; ``None`` restores the default."""
    if not isinstance(base, Mapping) or not isinstance(over, Mapping):
        return over
    merged = dict(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged[key], value) if key in merged else value
    return merged


def normalise(
    services: Any,
    overrides: Any = None,
    locks: Any = None,
    read_lock: ReadLock | None = None,
    read_text: ReadText | None = None,
    resolve: bool = True,
    public_address: str = "",
) -> dict[str, dict[str, Any]]:
    """Return the complete services by name.

    ``locks`` maps names to lock mappings; ``read_lock`` reads a lock file, and ``read_text`` a
    signature, by its path relative to the project's root. Without ``resolve`` both stay as they
    are declared and need not exist. ``public_address`` is what the domain ``sslip`` becomes a name
    of; without ``resolve`` it may be missing. A task that is ``auto`` becomes what the lock tells,
    and stays ``auto`` where it tells nothing. Raises ``DeclarationError`` with every problem found.
    """
    problems: list[Problem] = []
    for variable, value in (
        ("model_services", services),
        ("model_services_overrides", overrides or {}),
        ("model_locks", locks or {}),
    ):
        if not isinstance(value, Mapping):
            problems.append(Problem(variable, value, "make it a mapping from names to settings"))
    if problems:
        raise DeclarationError([str(problem) for problem in problems])

    problems += _unknown_services(services, overrides or {})
    complete = {}
    for name in services:
        declared = merge(services[name], (overrides or {}).get(name, {}))
        service, found = _complete(str(name), declared, public_address, resolve)
        if not found:
            model, where = service["model"], f"model_services.{name}.model"
            found += _outside(where, model, locks or {})
            if resolve and not found:
                model["lock"] = _resolve_lock(where, model, locks or {}, read_lock, found)
                model["signature"] = _resolve_signature(where, model, read_text, found)
                service["task"] = _resolve_task(service["task"], model["lock"])
            if not found:
                service["routes"] = routes_for(service)
        problems += found
        complete[str(name)] = service
    problems = problems or list(check_neighbours(complete))
    if problems:
        raise DeclarationError([str(problem) for problem in problems])
    return complete


def _complete(
    name: str, declared: Any, public_address: str, resolve: bool
) -> tuple[dict[str, Any], list[Problem]]:
    where = f"model_services.{name}"
    problems: list[Problem] = []
    if not _SERVICE_NAME.fullmatch(name):
        problems.append(
            Problem(
                where, name, "name a service with lower-case letters, digits and '-', at most 22"
            )
        )
    service = check_section(where, declared, SCHEMA, problems)
    if isinstance(declared, Mapping):
        problems += _missing_model(where, service)
    if problems:
        return service, problems
    for mirror in service["model"]["mirrors"]:
        mirror.update({key: mirror[key] or service["model"][key] for key in ("id", "revision")})
    if service["domain"] == SSLIP and (public_address or resolve):
        try:
            service["domain"] = domain_of_address(name, public_address)
        except ValueError:
            remedy = "the domain 'sslip' is made of it; give the IP address that leads to the host"
            problems.append(Problem("modelops_public_address", public_address, remedy))
    problems += check_service(where, service)
    if not problems:
        service.update(_derived(name, service))
    return service, problems


def _missing_model(where: str, service: Mapping[str, Any]) -> Iterable[Problem]:
    """Find what says which model it is; only an upstream needs none."""
    model, engine = service.get("model") or {}, service.get("engine") or {}
    if engine.get("name") == "upstream" and not model.get("source"):
        return
    for key in ("source", "id", "revision"):
        if model.get(key) == "":
            yield Problem(f"{where}.model.{key}", None, "it is required")


def slice_of(name: str) -> str:
    """Return the slice of a service below modelops.slice; a dash would begin another child."""
    return f"modelops-{name.replace('-', '_')}.slice"


def _derived(name: str, service: Mapping[str, Any]) -> dict[str, Any]:
    unit = f"modelops-{name}"
    return {
        "name": name,
        "served_name": (
            service["served_name"] or service["model"]["id"] or service["engine"]["model"]
        ),
        "task": "chat" if service["engine"]["name"] == "upstream" else service["task"],
        "user": unit,
        "unit": unit,
        "slice": slice_of(name),
        "root": f"/opt/modelops/services/{name}",
        "live_slot": SLOTS[0],
        "slots": {
            slot: {"unit": f"{unit}@{slot}.service", "socket": f"/run/{unit}/{slot}/http.sock"}
            for slot in SLOTS
        },
        "network": {"allow": network_of(service)},
        "alternative_names": alternative_names(service),
    }


def _resolve_lock(
    where: str,
    model: Mapping[str, Any],
    locks: Mapping[str, Any],
    read_lock: ReadLock | None,
    problems: list[Problem],
) -> Any:
    lock, where = model["lock"], f"{where}.lock"
    if isinstance(lock, str):
        if lock in locks:
            lock = locks[lock]
        else:
            try:
                lock = read_lock(lock) if read_lock else None
            except (OSError, ValueError) as error:
                problems.append(
                    Problem(where, lock, f"it can't be read ({error}); check modelops_project_root")
                )
                return None
    if lock is None and model["mirrors"]:
        remedy = "mirrors need a lock, which decides what is right; playbooks/lock.yml makes one"
        problems.append(Problem(where, None, remedy))
    if lock is None:
        return None
    if not isinstance(lock, Mapping) or "files" not in lock:
        problems.append(
            Problem(where, lock, "a lock is a mapping with 'files'; make one with model_lock")
        )
        return None
    for key in ("id", "revision") if lock.get("source") == model["source"] else ():
        if str(lock.get(key)) != model[key] and str(lock.get("commit")) != model[key]:
            remedy = "lock the declared model, or declare the locked one"
            locked = f"the lock is for {key} '{lock.get(key)}'; {remedy}"
            problems.append(Problem(where, model[key], locked))
    return lock


def _resolve_task(task: str, lock: Any) -> str:
    """Return the task that a lock tells where none is declared, else what is declared."""
    model = lock.get("model") if isinstance(lock, Mapping) else None
    if task != "auto" or not isinstance(model, Mapping):
        return task
    if "architectures" not in model and model.get("weights_format") != "gguf":
        return task
    files = lock["files"] if isinstance(lock["files"], (list, tuple)) else []
    paths = [str(item.get("path")) for item in files if isinstance(item, Mapping)]
    return next(iter(offered_tasks(model, paths)), task)


def _resolve_signature(
    where: str, model: Mapping[str, Any], read_text: ReadText | None, problems: list[Problem]
) -> str:
    """Return the text of the signature file."""
    signature, where = model["signature"], f"{where}.signature"
    if signature and read_text:
        try:
            return read_text(signature)
        except (OSError, ValueError) as error:
            remedy = f"it can't be read ({error}); check modelops_project_root"
            problems.append(Problem(where, signature, remedy))
    return ""


def _outside(where: str, model: Mapping[str, Any], locks: Mapping[str, Any]) -> Iterable[Problem]:
    """Find the paths that do not lie below the project's root."""
    remedies = {
        "lock": "give a path below the project's root, or a name in model_locks",
        "signature": "give a path below the project's root",
    }
    for key, remedy in remedies.items():
        path = model[key]
        if not isinstance(path, str) or (key == "lock" and path in locks):
            continue
        if path.startswith("/") or ".." in path.split("/"):
            yield Problem(f"{where}.{key}", path, remedy)


def _unknown_services(
    services: Mapping[str, Any], overrides: Mapping[str, Any]
) -> Iterable[Problem]:
    for name in overrides:
        if name not in services:
            near = difflib.get_close_matches(str(name), [str(known) for known in services], 1)
            hint = f"did you mean '{near[0]}'?" if near else "declare it in model_services"
            yield Problem(f"model_services_overrides.{name}", name, f"no such service; {hint}")
