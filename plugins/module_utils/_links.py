# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a model inside its folder: what is no plain file, and links that lead out of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from ._errors import ModelError


def check_plain(folder: str) -> None:
    """Refuse everything below ``folder`` but plain files and folders (``unsafe_path``)."""
    for parent, folders, files in os.walk(folder, onerror=_raise):
        for name in sorted(folders + files):
            path = os.path.join(parent, name)
            mode = os.lstat(path).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise _refused(folder, os.path.relpath(path, folder), _kind(mode))


def check_arrived(folder: str, paths: Iterable[str]) -> None:
    """Refuse those ``paths`` below ``folder`` that are, or pass through, a link or a device.

    Raises ``ModelError`` (``unsafe_path``). What is not there is none of its business.
    """
    for path in paths:
        place = folder
        for part in path.split("/"):
            place = os.path.join(place, part)
            try:
                mode = os.lstat(place).st_mode
            except OSError:
                break
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise _refused(folder, os.path.relpath(place, folder), _kind(mode))


def follow_tree(folder: str, below: str = "") -> dict[str, str]:
    """Return the real path of each file below ``folder``, by its name relative to it.

    ``below`` limits that to one folder in it: empty, or a name that ends in ``/``. Links to files
    and folders are followed as long as they stay inside ``folder``. Raises ``ModelError``
    (``unsafe_path``).
    """
    top = os.path.realpath(folder)
    found: dict[str, str] = {}
    start = os.path.join(top, below.rstrip("/"))
    if os.path.isdir(start):
        start = _resolve(top, start, below) if below else top
        _follow(top, start, below, (start,), found)
    return dict(sorted(found.items()))


def _follow(
    top: str, place: str, prefix: str, above: tuple[str, ...], found: dict[str, str]
) -> None:
    for entry in sorted(os.listdir(place)):
        name, path = prefix + entry, os.path.join(place, entry)
        if os.path.islink(path):
            path = _resolve(top, path, name)
            if path in above:
                raise _refused(top, name, "a link to a folder that holds it")
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            _follow(top, path, name + "/", (*above, path), found)
        elif stat.S_ISREG(mode):
            found[name] = path
        else:
            raise _refused(top, name, _kind(mode))


def _resolve(top: str, path: str, name: str) -> str:
    """Return where ``path`` really is, if that is inside ``top``."""
    real = os.path.realpath(path)
    if real != top and not real.startswith(top.rstrip("/") + "/"):
        raise _refused(
            top,
            name,
            f"a link that leads out of it, to {real}",
            "Copy the model with its links resolved (cp -rL), or give the folder that holds both "
            "and its subfolder.",
        )
    if not os.path.exists(real):
        raise _refused(top, name, "a link that leads nowhere")
    return real


def _kind(mode: int) -> str:
    return "a link" if stat.S_ISLNK(mode) else "no plain file (a device, a pipe or a socket)"


def _refused(folder: str, name: str, what: str, remedy: str = "Remove it.") -> ModelError:
    return ModelError(
        f"{folder} holds '{name}', which is {what}. {remedy}", "unsafe_path", path=name
    )


def _raise(error: OSError) -> None:
    raise error
