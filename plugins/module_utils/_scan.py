# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look into the files of a model before its folder is sealed.

Weights must agree with their own headers. Pickles and code are refused unless they are allowed by
name; pickles that are allowed are scanned by a program of the tools environment. Names are looked
at before the first byte is fetched, contents before the seal.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._code import code_by_name, find_code, find_remote_code
from ._errors import ModelError
from ._gguf import check_gguf
from ._links import check_plain
from ._manifest import Manifest
from ._patterns import matches
from ._pickles import find_pickle, is_data, is_pickle_name
from ._programs import scan_pickles
from ._safetensors import check_safetensors
from ._tools import run_tool

# Part of the proof: a snapshot that passed other rules is looked at again.
RULES = 1
_SHOWN = 5
_DATA = "no pickle in truth"
_HEADERS = {".safetensors": check_safetensors, ".gguf": check_gguf}


@dataclass(frozen=True)
class Allowed:
    """What may be in a model, as shell patterns; and what scans the pickles (see ``run_tool``).

    ``foresee`` says that nothing is to be changed and that the tools environment may not be made
    yet, as in check mode.
    """

    pickle: Sequence[str] = ()
    code: Sequence[str] = ()
    tools_python: str = ""
    foresee: bool = False

    @property
    def waiting(self) -> bool:
        """Whether the tools environment is still to be made."""
        return self.foresee and bool(self.tools_python) and not os.path.exists(self.tools_python)


@dataclass(frozen=True)
class Finding:
    """A file that runs code when it is loaded. ``kind`` is pickle, code or remote_code."""

    path: str
    kind: str
    detail: str

    def allowed(self, by: Allowed) -> bool:
        """Say whether the file is allowed by name."""
        return matches(self.path, by.pickle if self.kind == "pickle" else by.code)

    def to_dict(self) -> dict[str, str]:
        """Return the result of an allowed file."""
        return {
            "path": self.path,
            "kind": self.kind,
            "detail": self.detail,
            "decision": "allowed",
        }


def check_names(paths: Iterable[str], allowed: Allowed, name: str) -> None:
    """Refuse what a name alone gives away; ``name`` names the model in the message.

    Raises ``ModelError``: ``unsafe_weights``, ``code_refused``.
    """
    _refuse([found for path in sorted(paths) for found in _by_name(path)], allowed, name)


def scan(
    folder: str, manifest: Manifest, allowed: Allowed, known: Mapping[str, Any]
) -> dict[str, Any]:
    """Look into every file of ``manifest`` below ``folder``; return what was found.

    Keys: ``files`` (how many were looked at), ``findings`` (path, kind, detail, decision),
    ``scanner`` (name and version, or none), and what the result depends on: ``rules``,
    ``manifest`` (a hash) and ``allowed``. ``known`` is an earlier result, which is returned as it
    is if it depends on the same. Raises ``ModelError``: ``unsafe_path``, ``weights_invalid``,
    ``unsafe_weights``, ``code_refused``, ``content_refused``, ``tools_missing``, ``tools_failed``.
    """
    check_plain(folder)
    basis = {
        "rules": RULES,
        "manifest": _digest(manifest),
        "allowed": {"pickle": list(allowed.pickle), "code": list(allowed.code)},
    }
    if {key: known.get(key) for key in basis} == basis and _same_scanner(known, allowed):
        return dict(known)
    name = f"{manifest.source} {manifest.id} {manifest.revision}"
    paths = [item.path for item in manifest.files]
    _refuse([found for path in paths for found in _by_name(path)], allowed, name)
    for path in paths:
        check = _HEADERS.get(os.path.splitext(path)[1].lower())
        if check is not None:
            check(os.path.join(folder, path), path)
    findings = [found for path in paths for found in _look(folder, path)]
    _refuse(findings, allowed, name)
    results = [found.to_dict() for found in findings]
    scanner = _scan_pickles(folder, results, allowed)
    return {**basis, "files": len(paths), "findings": results, "scanner": scanner}


def _by_name(path: str) -> list[Finding]:
    if is_pickle_name(path):
        return [Finding(path, "pickle", "a pickle, by its name")]
    code = code_by_name(path)
    return [Finding(path, "code", code)] if code else []


def _look(folder: str, path: str) -> list[Finding]:
    """Return what a file is, by its name and its content."""
    place = os.path.join(folder, path)
    if os.path.splitext(path)[1].lower() in _HEADERS:
        return []  # the first bytes are the header, which has been checked
    found = _by_name(path)
    kinds = {finding.kind for finding in found}
    if "pickle" in kinds and is_data(place):
        found = [Finding(path, "pickle", _DATA)]
    pickle = "" if "pickle" in kinds else find_pickle(place)
    if pickle:
        found.append(Finding(path, "pickle", pickle))
    code = "" if "code" in kinds else find_code(place)
    if code:
        found.append(Finding(path, "code", code))
    if path.lower().endswith(".json"):
        found += [Finding(path, "remote_code", what) for what in find_remote_code(place, path)]
    return found


def _refuse(findings: Sequence[Finding], allowed: Allowed, name: str) -> None:
    """Refuse the first kind of finding that is not allowed, naming all its files."""
    refused = [found for found in findings if not found.allowed(allowed)]
    pickles = [found for found in refused if found.kind == "pickle"]
    if pickles:
        raise ModelError(
            f"{name} holds pickles, which can run any code when they are loaded: {_list(pickles)}. "
            "Leave them out with exclude, or allow them by name with allow_pickle; then they are "
            "scanned.",
            "unsafe_weights",
            files=sorted({found.path for found in pickles}),
        )
    if refused:
        raise ModelError(
            f"{name} holds code, or asks a loader to run code: {_list(refused)}. Leave it out with "
            "exclude, or allow it by name with allow_code; then it is stored, and the server never "
            "runs it.",
            "code_refused",
            files=sorted({found.path for found in refused}),
        )


def _list(findings: Sequence[Finding]) -> str:
    shown = "; ".join(f"{found.path} ({found.detail})" for found in findings[:_SHOWN])
    more = len(findings) - _SHOWN
    return f"{shown}; and {more} more" if more > 0 else shown


def _scan_pickles(
    folder: str, results: Sequence[dict[str, str]], allowed: Allowed
) -> dict[str, str] | None:
    """Scan the allowed pickles and add what was found to ``results``; return name and version."""
    waiting = {
        item["path"]: item
        for item in results
        if item["kind"] == "pickle" and item["detail"] != _DATA
    }
    if not waiting or allowed.waiting:
        return None
    answer = run_tool(
        allowed.tools_python, scan_pickles, {"folder": folder, "files": sorted(waiting)}
    )
    scanned = {item["path"]: item for item in answer["files"]}
    for path, item in sorted(waiting.items()):
        found = scanned.get(path) or {"dangerous": [], "errors": ["it was not scanned"]}
        if found["dangerous"]:
            raise _content_refused(path, answer, f"imports {', '.join(found['dangerous'])}")
        if found["errors"]:
            raise _content_refused(path, answer, f"cannot be scanned: {found['errors'][0]}")
        unknown = f", unknown imports: {', '.join(found['unknown'])}" if found["unknown"] else ""
        item["detail"] += f"; nothing dangerous found{unknown}"
    return dict(answer["scanner"])


def _content_refused(path: str, answer: Mapping[str, Any], what: str) -> ModelError:
    scanner = answer["scanner"]
    return ModelError(
        f"'{path}' {what} ({scanner['name']} {scanner['version']}). Leave it out with exclude, and "
        "tell whoever published it.",
        "content_refused",
        file=path,
    )


def _same_scanner(known: Mapping[str, Any], allowed: Allowed) -> bool:
    """Say whether an earlier result is by the scanner of today, if there was and is one."""
    if known.get("scanner") is None or not allowed.tools_python or allowed.waiting:
        return True
    answer = run_tool(allowed.tools_python, scan_pickles, {"folder": "", "files": []})
    return bool(answer["scanner"] == known["scanner"])


def _digest(manifest: Manifest) -> str:
    files = [[item.path, item.size, item.sha256] for item in manifest.files]
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()
