# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bill of materials says about a model: gathered here, written by a program with packages.

The model's files come from its manifest, the licence from its model card, the packages from the
lock of the environment that runs it, and what was checked from the proof.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ._manifest import Manifest
from ._metadata import CONFIG, JSON_BYTES
from ._model_card import front_matter
from ._programs import bill_of_materials
from ._signing import files_digest
from ._tools import run_tool

CARD = "README.md"
_PIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def make_bill(
    tools_python: str,
    manifest: Manifest,
    proof: Mapping[str, Any],
    snapshot: str,
    environment_lock: str,
    task: str = "",
) -> str:
    """Return a CycloneDX 1.6 document as JSON text that its schema admits; the same input gives
    the same text.

    ``snapshot`` is the folder with the model's card, empty if there is none; ``environment_lock``
    is the text of a requirements lock; ``task`` is what the model is used for, where its card does
    not say that. Raises ``ModelError`` (``tools_missing``, ``tools_failed``).
    """
    card = front_matter(_read(snapshot, CARD))
    described = manifest.model
    architectures = described.get("architectures") or [""]
    request = {
        "name": manifest.id,
        "version": manifest.revision,
        "purl": purl(manifest),
        "licences": licences(card, _read(snapshot, CONFIG)),
        "files": [
            {"path": item.path, "size": item.size, "sha256": item.sha256} for item in manifest.files
        ],
        "packages": list(pins(environment_lock)),
        "card": {
            "task": (card.get("pipeline_tag") or [task])[0],
            "architectureFamily": str(described.get("model_type", "")),
            "modelArchitecture": str(architectures[0]),
        },
        "numbers": dict(flatten({key: described[key] for key in sorted(described)})),
        "properties": {
            "modelops:source": manifest.source,
            "modelops:commit": manifest.commit,
            "modelops:files:sha256": files_digest(manifest.files),
            **{f"modelops:{key}": value for key, value in flatten(proof)},
        },
    }
    answer = run_tool(tools_python, bill_of_materials, request)
    return str(answer["bom"])


def purl(manifest: Manifest) -> dict[str, str]:
    """Return type, namespace, name and version of the model's package URL.

    The types: https://github.com/package-url/purl-spec, where a Hugging Face model's version is its
    commit. A hub without a type of its own is generic.
    """
    namespace, _slash, name = manifest.id.rpartition("/")
    kind, version = "generic", manifest.revision
    if manifest.source == "huggingface":
        kind, version = "huggingface", manifest.commit
    elif manifest.source == "package":
        kind = "pypi"
    return {"type": kind, "namespace": namespace, "name": name, "version": version}


def licences(card: Mapping[str, list[str]], config: str) -> list[str]:
    """Return the licences that the model states in its card, else in its configuration."""
    stated = card.get("license") or []
    if stated == ["other"]:
        stated = card.get("license_name") or stated
    if not stated:
        try:
            found = json.loads(config or "{}").get("license")
        except (ValueError, AttributeError):
            found = None
        stated = [found] if isinstance(found, str) and found else []
    return list(stated)


def pins(lock: str) -> Iterator[dict[str, Any]]:
    """Yield name, version and SHA-256 hashes of each package of a requirements lock."""
    for line in lock.replace("\\\n", " ").splitlines():
        found = _PIN.match(line.strip())
        if found:
            hashes = sorted(set(_HASH.findall(line)))
            yield {"name": found[1].lower(), "version": found[2], "sha256": hashes}


def flatten(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield ``a:b:c`` and a text for each value of a nested mapping, in a stable order."""
    for key in sorted(value):
        item, name = value[key], f"{above}{key}"
        if isinstance(item, Mapping):
            yield from flatten(item, f"{name}:")
        elif isinstance(item, str):
            yield name, item
        else:
            yield name, json.dumps(item, sort_keys=True)


def _read(folder: str, name: str) -> str:
    path = os.path.join(folder, name)
    if not folder or not os.path.isfile(path):
        return ""
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read(JSON_BYTES)
