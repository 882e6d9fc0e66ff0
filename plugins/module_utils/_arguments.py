# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that the model modules share, and what is built from them."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from typing import Any

from ._addresses import addresses
from ._errors import ModelError
from ._manifest import Manifest, is_hash
from ._sources import SOURCES, Connection, Source, Wanted

STORE = "/var/lib/modelops/models"
# Names that hubs give to branches: what they mean today they may not mean tomorrow.
BRANCHES = ("", "main", "master", "head", "latest")
_OWNED = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def source_arguments() -> dict[str, Any]:
    """Return the argument spec of the documentation fragment ``source``."""
    return {
        "source": {"type": "str", "required": True},
        "id": {"type": "str", "required": True},
        "revision": {"type": "str", "default": ""},
        "endpoint": {"type": "str", "default": ""},
        "token": {"type": "str", "no_log": True, "default": ""},
        "include": {"type": "list", "elements": "str", "default": []},
        "exclude": {"type": "list", "elements": "str", "default": []},
        "subfolder": {"type": "str", "default": ""},
        "archive_sha256": {"type": "str", "default": ""},
        "allow_floating_revision": {"type": "bool", "default": False},
        "ca_bundle": {"type": "str", "default": ""},
        "proxy": {"type": "str", "default": ""},
        "timeout": {"type": "int", "default": 60},
        "retries": {"type": "int", "default": 5},
    }


def mirror_arguments() -> dict[str, Any]:
    """Return the argument spec of the option ``mirrors``."""
    options = {
        "source": {"type": "str", "required": True},
        "id": {"type": "str", "default": ""},
        "revision": {"type": "str", "default": ""},
        "endpoint": {"type": "str", "default": ""},
        "subfolder": {"type": "str", "default": ""},
        "archive_sha256": {"type": "str", "default": ""},
        "token": {"type": "str", "no_log": True, "default": ""},
    }
    return {"type": "list", "elements": "dict", "options": options, "default": []}


def build_mirrors(params: Mapping[str, Any], revision: str, work: str) -> list[Source]:
    """Return the sources in the option ``mirrors``.

    A mirror has the id and the revision of the main source where it names none, and the same way
    to the network; never its token.
    """
    mirrors = []
    for number, given in enumerate(params["mirrors"], 1):
        merged = {**params, **given, "id": given["id"] or params["id"]}
        folder = os.path.join(work, f"mirror-{number}")
        mirrors.append(build_source(merged, given["revision"] or revision, folder))
    return mirrors


def check_source(name: str) -> None:
    """Refuse a source that is none (``unknown_source``), with the nearest one.

    The argument spec has no choices for it: their failure has no code.
    """
    if name not in SOURCES:
        near = difflib.get_close_matches(name, list(SOURCES), 1)
        raise ModelError(
            f"source is '{name}', which is none. Choose one of {', '.join(sorted(SOURCES))}"
            + (f"; did you mean '{near[0]}'?" if near else "."),
            "unknown_source",
        )


def chosen_revision(params: Mapping[str, Any]) -> tuple[str, bool]:
    """Return the revision and whether it floats.

    Raises ``ModelError`` (``unknown_source``, ``floating_revision``, ``invalid_option``).
    """
    revision, source = params["revision"], params["source"]
    check_source(source)
    if revision.lower() not in BRANCHES:
        return revision, False
    if not params["allow_floating_revision"]:
        raise ModelError(
            f"revision is '{revision}', which is a branch and changes. Give a tag or a commit, or "
            "set allow_floating_revision if you accept that.",
            "floating_revision",
        )
    if not revision and not SOURCES[source].branch:
        raise ModelError(f"The source {source} needs a revision.", "invalid_option")
    return revision or SOURCES[source].branch, True


def build_source(
    params: Mapping[str, Any], revision: str, work: str, hash_all: bool = False
) -> Source:
    """Return the source that ``params`` describe; ``work`` is a folder for archives."""
    check_source(params["source"])
    kind = SOURCES[params["source"]]
    if kind.owned and not _OWNED.fullmatch(params["id"]):
        raise ModelError(
            f"id is '{params['id']}'; models of {params['source']} have an owner. Write it as "
            "owner/name.",
            "invalid_id",
        )
    endpoint = params["endpoint"] or addresses().get(kind.address, "")
    if not endpoint:
        raise ModelError(
            f"The source {params['source']} needs an endpoint: there is no public one.",
            "invalid_option",
        )
    archive_sha256 = params["archive_sha256"].lower()
    if archive_sha256 and not is_hash(archive_sha256, "sha256"):
        raise ModelError(
            f"archive_sha256 is '{params['archive_sha256']}'; it is 64 hex digits.",
            "invalid_option",
        )
    for option, least in (("timeout", 1), ("retries", 0)):
        if params[option] < least:
            raise ModelError(
                f"{option} is {params[option]}; the least is {least}.", "invalid_option"
            )
    wanted = Wanted(
        id=params["id"],
        revision=revision,
        endpoint=endpoint,
        subfolder=params["subfolder"],
        archive_sha256=archive_sha256,
        work=work,
        hash_all=hash_all,
    )
    connection = Connection(
        timeout=params["timeout"],
        retries=params["retries"],
        proxy=params["proxy"],
        ca_bundle=params["ca_bundle"],
        token=params["token"],
    )
    return kind(wanted, connection)


def read_lock(data: Mapping[str, Any] | None) -> Manifest | None:
    """Return the lock in the option's mapping. Raises ``ModelError`` (``invalid_lock``)."""
    return Manifest.from_dict(data) if data else None
