# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell files that are code, and settings that ask a loader to run code.

The server of this collection runs neither. Other programs that read the same folder may: they
follow ``auto_map`` (transformers), ``custom_pipelines`` (pipelines of the hub), ``allow_remote``
and ``plugins`` (ModelScope), and the types of modules.json (sentence-transformers).
"""

from __future__ import annotations

import json
import re
from typing import Any, BinaryIO

from ._pickles import zip_names

_CODE_NAME = re.compile(
    r".*\.(py[cdowz]?|so(\.\d+)*|dll|dylib|exe|sh|bash|zsh|bat|cmd|ps1|m?js|jar|class|wasm"
    r"|pl|rb|lua|php|whl|egg|mar)",
    re.IGNORECASE | re.DOTALL,
)
# A layer of Keras may be Python bytecode (Lambda); only Keras itself could tell.
_KERAS_NAME = re.compile(r".*\.(h5|hdf5|keras)", re.IGNORECASE | re.DOTALL)
_HINTS = re.compile(rb"auto_map|custom_pipelines|allow_remote|plugins|\\u00[4-7]|\x00")
_CHUNK = 1024 * 1024
_OVERLAP = 32
# Larger ones that name a key of interest are refused unread: parsing needs many times their size.
JSON_BYTES = 64 * 1024 * 1024
_OWN_MODULES = "sentence_transformers."


def code_by_name(path: str) -> str:
    """Say which code a file of this name holds; nothing if none."""
    if _CODE_NAME.fullmatch(path):
        return "a program or library, by its name"
    if _KERAS_NAME.fullmatch(path):
        return "a Keras file, which may hold Python bytecode"
    return ""


def find_code(path: str) -> str:
    """Say which code the content of the file ``path`` is; nothing if none is found."""
    with open(path, "rb") as stream:
        head = stream.read(4)
        if head == b"\x7fELF":
            return "an ELF program or library"
        if head.startswith(b"#!"):
            return "a script"
        if head == b"PK\x03\x04":
            code = [name for name in zip_names(stream) or () if _CODE_NAME.fullmatch(name)]
            if code:
                return f"a zip archive with '{code[0][:80]}'"
    return ""


def find_remote_code(path: str, name: str) -> list[str]:
    """Say which settings in the JSON file ``path`` ask for code; ``name`` is its path in the model.

    A file that names such a setting and is not JSON counts too.
    """
    base = name.rpartition("/")[2]
    with open(path, "rb") as stream:
        if not _hinted(stream) and base != "modules.json":
            return []
        stream.seek(0)
        text = stream.read(JSON_BYTES + 1)
    if len(text) > JSON_BYTES:
        return ["a name of a setting that loads code, in a file that is too large to look into"]
    found: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found.extend(what for key, value in pairs for what in _asks(key, value, base))
        return dict(pairs)

    try:
        # As a float, a number of very many digits costs nothing.
        json.loads(text, object_pairs_hook=look, parse_int=float)
    except (ValueError, RecursionError):
        return ["a name of a setting that loads code, in a file that is not JSON"]
    return sorted(set(found))


def _asks(key: str, value: object, base: str) -> list[str]:
    """Return what the pair asks for, if it asks for code."""
    if key in ("auto_map", "custom_pipelines") and isinstance(value, (dict, list, str)) and value:
        return [f"{key}: {_short(value)}"]
    if base == "configuration.json" and key in ("allow_remote", "plugins") and value:
        return [f"{key}: {_short(value)}"]
    if base == "modules.json" and key == "type" and not str(value).startswith(_OWN_MODULES):
        return [f"type: {_short(value)}"]
    return []


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:117] + "..."


def _hinted(stream: BinaryIO) -> bool:
    """Say whether a name of interest stands in the file, in whatever way it may be written."""
    tail = b""
    for chunk in iter(lambda: stream.read(_CHUNK), b""):
        if _HINTS.search(tail + chunk):
            return True
        tail = chunk[-_OVERLAP:]
    return False
