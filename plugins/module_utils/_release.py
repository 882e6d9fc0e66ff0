# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases: immutable folders that join server code, settings, snapshot and environment.

    <root>/releases/<release>/   server/ settings.json release.json model.cdx.json (if given),
                                 links environment and model
    <root>/slots/<slot>          a link to the release that the slot runs

A release is named by the digest of all that goes into it. It is built beside its final place and
renamed into it; a slot's link is replaced in one step.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from typing import Any

BILL = "model.cdx.json"


class ReleaseFailed(Exception):
    """A release could not be made; the message says what and why."""


def pack(folder: str) -> str:
    """Pack ``folder``, under its own name and without caches, into a zip in base64."""
    name = os.path.basename(folder.rstrip("/"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(_files_below(folder)):
            if "__pycache__" in path.split("/") or path.endswith(".pyc"):
                continue
            with open(os.path.join(folder, path), "rb") as file:
                archive.writestr(
                    zipfile.ZipInfo(f"{name}/{path}"), file.read(), zipfile.ZIP_DEFLATED
                )
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def unpack(packed: str) -> dict[str, bytes]:
    """Return the files of ``pack``; ReleaseFailed for a path that leaves the folder."""
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(packed))) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    for name in files:
        if name.startswith("/") or ".." in name.split("/"):
            raise ReleaseFailed(
                f"The packed server holds the path '{name}', which leaves its folder."
            )
    return files


class Release:
    """One release of the service at ``root``."""

    def __init__(
        self,
        root: str,
        server: Mapping[str, bytes],
        settings: Mapping[str, Any],
        environment: str,
        snapshot: str,
        bill_of_materials: str = "",
    ) -> None:
        self.root, self.environment, self.snapshot = root, environment, snapshot
        self._server = {f"server/{path}": content for path, content in server.items()}
        self._bill = {BILL: bill_of_materials.encode()} if bill_of_materials else {}
        made_from = {
            "server": {
                path: hashlib.sha256(content).hexdigest() for path, content in self._server.items()
            },
            "settings": settings,
            "environment": environment,
            "snapshot": snapshot,
            "bill_of_materials": bill_of_materials,
        }
        self.name = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:12]
        service = {**settings.get("service", {}), "release": self.name}
        self.settings = {**settings, "service": service}
        self.path = os.path.join(root, "releases", self.name)

    def _files(self) -> dict[str, bytes]:
        about = {"release": self.name, "environment": self.environment, "snapshot": self.snapshot}
        made = {"settings.json": _json(self.settings), "release.json": _json(about)}
        return {**self._server, **self._bill, **made}

    def _links(self) -> dict[str, str]:
        return {"environment": self.environment, "model": self.snapshot}

    def differences(self) -> list[str]:
        """List what is missing, different or extra; ``['absent']`` without a folder."""
        if not os.path.isdir(self.path):
            return ["absent"]
        found, files, links = set(_files_below(self.path)), self._files(), self._links()
        wrong = [f"{path}: unexpected" for path in found - set(files) - set(links)]
        for path, content in files.items():
            full = os.path.join(self.path, path)
            if path not in found or os.path.islink(full):
                wrong.append(f"{path}: missing")
            elif _read(full) != content:
                wrong.append(f"{path}: changed")
        for path, target in links.items():
            full = os.path.join(self.path, path)
            if not os.path.islink(full) or os.readlink(full) != target:
                wrong.append(f"{path}: does not lead to {target}")
        return sorted(wrong)

    def build(self) -> None:
        """Write the release beside its place, then move it there; an old one goes whole."""
        partial, old = self.path + ".partial", self.path + ".old"
        for leftover in (partial, old):
            _remove(leftover)
        for path, content in self._files().items():
            full = os.path.join(partial, path)
            os.makedirs(os.path.dirname(full), mode=0o755, exist_ok=True)
            with open(full, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(full, 0o444)
        for path, target in self._links().items():
            os.symlink(target, os.path.join(partial, path))
        if os.path.isdir(self.path):
            os.rename(self.path, old)
        os.rename(partial, self.path)
        _remove(old)


class Service:
    """The folder of a service: its releases and its slots."""

    def __init__(self, root: str) -> None:
        self.root = root

    def slots(self) -> dict[str, str]:
        """The release name that each slot leads to."""
        folder = os.path.join(self.root, "slots")
        if not os.path.isdir(folder):
            return {}
        return {
            slot: os.path.basename(os.readlink(os.path.join(folder, slot)))
            for slot in sorted(os.listdir(folder))
        }

    def place(self, slot: str, release: Release) -> None:
        """Let ``slot`` lead to ``release``, in one step."""
        os.makedirs(os.path.join(self.root, "slots"), mode=0o755, exist_ok=True)
        link = os.path.join(self.root, "slots", slot)
        _remove(link + ".new")
        os.symlink(os.path.join("..", "releases", release.name), link + ".new")
        os.replace(link + ".new", link)

    def surplus(self, keep: int, current: str) -> list[str]:
        """Releases beyond the newest ``keep``, oldest first, never one that a slot leads to."""
        folder = os.path.join(self.root, "releases")
        if not os.path.isdir(folder):
            return []
        names = sorted(
            os.listdir(folder), key=lambda name: os.stat(os.path.join(folder, name)).st_mtime_ns
        )
        used = {*self.slots().values(), current}
        return [name for name in names[: max(0, len(names) - keep)] if name not in used]

    def remove_release(self, name: str) -> None:
        _remove(os.path.join(self.root, "releases", name))

    def remove(self) -> bool:
        """Remove the whole folder; say whether there was one."""
        there = os.path.isdir(self.root)
        _remove(self.root)
        return there


def _files_below(folder: str) -> list[str]:
    paths = []
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        paths += [os.path.relpath(os.path.join(parent, name), folder) for name in files + links]
    return paths


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
