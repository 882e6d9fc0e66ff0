# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small file operations that must not leave half a file, or half a tree, behind."""

from __future__ import annotations

import os
import shutil
import tempfile

UNFINISHED = ".unfinished"  # the end of a name that ``write_atomic`` has not replaced yet


def sync_folder(path: str) -> None:
    """Make renames inside the folder ``path`` durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(path: str) -> None:
    """Make the names in ``path`` and in all folders below it durable."""
    for parent, _folders, _files in os.walk(path):
        sync_folder(parent)


def write_atomic(path: str, content: str | bytes, mode: int = 0o644) -> None:
    """Write ``content`` to ``path`` so that a reader sees the old or the new file, whole.

    Text is written as UTF-8.
    """
    folder = os.path.dirname(path) or "."
    prefix = _unfinished(path)
    handle, temporary = tempfile.mkstemp(prefix=prefix, suffix=UNFINISHED, dir=folder)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    sync_folder(folder)


def remove_unfinished(path: str) -> None:
    """Remove what a killed ``write_atomic`` of ``path`` left; nobody may be writing it now."""
    folder = os.path.dirname(path) or "."
    for name in os.listdir(folder):
        if name.startswith(_unfinished(path)) and name.endswith(UNFINISHED):
            remove_file(os.path.join(folder, name))


def _unfinished(path: str) -> str:
    return f".{os.path.basename(path)}."


def remove_file(path: str) -> bool:
    """Remove the file or link ``path``; say whether there was one."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def remove_tree(path: str) -> bool:
    """Remove the folder ``path``, sealed or not; say whether there was one."""
    if os.path.islink(path) or not os.path.isdir(path):
        return remove_file(path)
    unseal_folders(path)
    shutil.rmtree(path)
    return True


def unseal_folders(path: str) -> None:
    """Make every folder below ``path`` writable for its owner; links are not followed."""
    os.chmod(path, 0o755)
    for parent, folders, _files in os.walk(path):
        for name in folders:
            folder = os.path.join(parent, name)
            if not os.path.islink(folder):
                os.chmod(folder, 0o755)


def list_tree(path: str) -> list[str]:
    """Return the relative paths of all that is not a folder below ``path``, sorted."""
    found = []
    for parent, folders, files in os.walk(path):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        folder = os.path.relpath(parent, path)
        found += files + links if folder == "." else [f"{folder}/{n}" for n in files + links]
    return sorted(found)


def prune_empty(folder: str, stop: str) -> None:
    """Remove ``folder`` and its parents while they are empty, never ``stop`` or above."""
    while folder != stop and folder.startswith(stop.rstrip("/") + "/"):
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            pass
        except OSError:
            return
        folder = os.path.dirname(folder)


def make_folders(path: str) -> None:
    """Create ``path`` and its missing parents, readable by all whatever the umask is."""
    if os.path.isdir(path):
        return
    make_folders(os.path.dirname(path))
    try:
        os.mkdir(path)
    except FileExistsError:
        return
    os.chmod(path, 0o755)


def remove_empty_folders(folder: str) -> None:
    """Remove the empty folders below ``folder``."""
    for parent, _folders, _files in os.walk(folder, topdown=False):
        if parent != folder and not os.listdir(parent):
            os.rmdir(parent)
