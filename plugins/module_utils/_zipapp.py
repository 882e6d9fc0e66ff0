# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack a package of these module_utils, and what it imports of them, into one program file.

The sources are taken from where they were loaded, be that the archive of a running module or a
folder, so that a command on a host never has a second copy of its logic (PEP 441).
"""

from __future__ import annotations

import ast
import hashlib
import io
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec, resolve_name
from typing import Any, cast

from ._errors import ModelError

PACKAGE = "modelops_host"
_HERE = __name__.rpartition(".")[0]
_LICENCE = (
    "# Copyright: The modelops.serving contributors\n"
    "# SPDX-License" + "-Identifier: GPL-3.0-or-later\n"
)


def build(entry: str, python: str) -> bytes:
    """Return the program that calls ``main()`` of the package ``entry`` with ``python``.

    The same sources give the same bytes. Raises ``ModelError`` (``file_missing``).
    """
    files = {
        "__main__.py": (
            f"{_LICENCE}import sys\n\nfrom {PACKAGE}.{entry} import main\n\nsys.exit(main())\n"
        ),
        f"{PACKAGE}/__init__.py": _LICENCE,
        **_sources(entry),
    }
    buffer = io.BytesIO()
    # -I: neither the environment nor the folder of the caller decides what is imported.
    buffer.write(f"#!{python} -I\n".encode())
    # Stored, not deflated: the bytes then do not depend on the version of zlib.
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        for name, source in sorted(files.items()):
            member = zipfile.ZipInfo(name)
            member.create_system = 3
            member.external_attr = 0o644 << 16
            archive.writestr(member, source)
    return buffer.getvalue()


def contents(program: bytes) -> str:
    """Return a line with interpreter, and one with SHA-256 and name for each file inside."""
    lines = [program.partition(b"\n")[0].decode("utf-8", "replace")]
    try:
        with zipfile.ZipFile(io.BytesIO(program)) as archive:
            for name in archive.namelist():
                lines.append(f"{hashlib.sha256(archive.read(name)).hexdigest()} {name}")
    except zipfile.BadZipFile:
        lines.append("not a program of this collection")
    return "\n".join(lines) + "\n"


def _sources(entry: str) -> dict[str, str]:
    """Return the source of ``entry`` and of all that it imports, by path inside the program."""
    files: dict[str, str] = {}
    waiting, seen = [f"{_HERE}.{entry}"], {_HERE}
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        source, is_package = _load(name)
        path = name[len(_HERE) :].replace(".", "/")
        files[f"{PACKAGE}{path}{'/__init__' if is_package else ''}.py"] = source
        waiting += [name.rpartition(".")[0], *_imports(source, name, is_package)]
    return files


def _load(name: str) -> tuple[str, bool]:
    spec = find_spec(name)
    loader = cast(Any, spec.loader if spec else None)
    source = loader.get_source(name) if loader is not None else None
    if spec is None or source is None:
        raise ModelError(f"The source of {name} cannot be read.", "file_missing")
    return source, spec.submodule_search_locations is not None


def _imports(source: str, name: str, is_package: bool) -> Iterator[str]:
    """Yield the modules that ``source`` imports relatively; that is how all of these do it."""
    package = name if is_package else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom) or node.level == 0:
            continue
        target = resolve_name("." * node.level + (node.module or ""), package)
        yield target
        for name_inside in (f"{target}.{alias.name}" for alias in node.names):
            if _is_package(target) and find_spec(name_inside) is not None:
                yield name_inside


def _is_package(name: str) -> bool:
    spec = find_spec(name)
    return spec is not None and spec.submodule_search_locations is not None
