# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Immutable Python environments, each in a folder named by the digest of what it was made from.

An environment counts as present only when its stamp, its interpreter and ABI, and an import check
agree. It is built in place, since a virtual environment cannot be moved; the stamp is written last.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

STAMP = ".modelops-environment.json"

_PROBE = """
import json, platform, sys, sysconfig
print(json.dumps({
    "version": "%d.%d" % sys.version_info[:2],
    "implementation": sys.implementation.name,
    "abi": sysconfig.get_config_var("SOABI") or "",
    "platform": sysconfig.get_platform(),
    "machine": platform.machine(),
}))
"""


class EnvironmentFailed(Exception):
    """An environment could not be made or examined; the message says where, why and what to do."""


@dataclass(frozen=True)
class Interpreter:
    """A Python interpreter as it describes itself."""

    path: str
    version: str
    implementation: str
    abi: str
    platform: str
    machine: str

    @property
    def key(self) -> str:
        """The part of a lock's name that the interpreter decides, such as ``py311-x86_64``."""
        return f"py{self.version.replace('.', '')}-{self.machine}"


def probe(path: str) -> Interpreter | None:
    """Ask the interpreter at ``path`` (or on PATH) what it is; ``None`` when there is none."""
    found = shutil.which(path)
    if not found:
        return None
    result = _run([found, "-I", "-c", _PROBE], timeout=30)
    if result.returncode != 0:
        return None
    return Interpreter(path=found, **json.loads(result.stdout))


def requirements(lock: str) -> list[str]:
    """The lines of a requirements lock that decide what is installed, without comments."""
    lines = (line.partition(" #")[0].strip() for line in lock.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def digest(lock: str, interpreter: Interpreter, variant: str) -> str:
    """Name the environment: 16 hex digits over lock, interpreter, ABI, platform and variant."""
    made_from = {**asdict(interpreter), "path": "", "variant": variant, "lock": requirements(lock)}
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Index:
    """Where pip finds packages; empty values leave pip's own configuration in force."""

    url: str = ""
    extra_urls: Sequence[str] = ()
    find_links: Sequence[str] = ()
    ca_bundle: str = ""
    proxy: str = ""

    def arguments(self) -> list[str]:
        arguments = []
        for option, value in (
            ("--index-url", self.url),
            *(("--extra-index-url", extra) for extra in self.extra_urls),
            *(("--find-links", place) for place in self.find_links),
            ("--cert", self.ca_bundle),
            ("--proxy", self.proxy),
        ):
            if value:
                arguments += [option, value]
        return arguments


class Environment:
    """One environment below ``root``."""

    def __init__(
        self, root: str, lock: str, interpreter: Interpreter, variant: str, imports: Sequence[str]
    ) -> None:
        if not requirements(lock):
            raise EnvironmentFailed("The lock lists no package; compile it with 'make locks'.")
        self.lock, self.interpreter, self.variant, self.imports = (
            lock,
            interpreter,
            variant,
            list(imports),
        )
        self.digest = digest(lock, interpreter, variant)
        self.path = os.path.join(root, self.digest)
        self.python = os.path.join(self.path, "bin", "python")

    def defect(self) -> str:
        """Say why the environment is not usable; empty when it is."""
        if not os.path.isdir(self.path):
            return "absent"
        try:
            with open(os.path.join(self.path, STAMP), encoding="utf-8") as file:
                stamp = json.load(file)
        except (OSError, ValueError):
            return "unfinished: it has no stamp"
        if stamp.get("digest") != self.digest:
            return "its stamp is of another environment"
        inside = probe(self.python)
        if inside is None or (inside.version, inside.abi) != (
            self.interpreter.version,
            self.interpreter.abi,
        ):
            return "its interpreter is gone or has another ABI"
        check = _run(
            [self.python, "-I", "-c", "import " + ", ".join(["sys", *self.imports])], timeout=300
        )
        return "" if check.returncode == 0 else f"an import fails: {_last_line(check.stderr)}"

    def build(self, index: Index) -> None:
        """Make the environment anew, or leave nothing behind and raise EnvironmentFailed."""
        self.remove()
        os.makedirs(os.path.dirname(self.path), mode=0o755, exist_ok=True)
        try:
            self._step(
                [self.interpreter.path, "-m", "venv", self.path],
                "install the interpreter's venv package (python3-venv on Debian)",
            )
            lock_file = os.path.join(self.path, "requirements.lock")
            with open(lock_file, "w", encoding="utf-8") as file:
                file.write(self.lock)
            self._step(
                [
                    self.python,
                    "-I",
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--no-input",
                    "--disable-pip-version-check",
                    "--no-cache-dir",
                    "--only-binary",
                    ":all:",
                    "--require-hashes",
                    # A lock is whole. Resolving it again, an old pip asks for the newest version of
                    # what is required with an extra, and refuses the one that is locked.
                    "--no-deps",
                    "-r",
                    lock_file,
                    *index.arguments(),
                ],
                "check that this host reaches the package index and finds these versions there",
            )
            self._step(
                [self.python, "-I", "-m", "pip", "check"],
                "compile the lock again, with everything that its packages need",
            )
            self._write_stamp()
        except BaseException:
            self.remove()
            raise
        defect = self.defect()
        if defect:
            self.remove()
            raise EnvironmentFailed(
                f"The environment {self.path} was built but {defect}; compile a lock that fits."
            )

    def remove(self) -> None:
        """Remove the environment, stamp first: a half-removed one never counts as present."""
        if os.path.exists(os.path.join(self.path, STAMP)):
            os.unlink(os.path.join(self.path, STAMP))
        if os.path.isdir(self.path):
            shutil.rmtree(self.path)

    def _step(self, command: list[str], remedy: str) -> None:
        result = _run(command, timeout=3600)
        if result.returncode != 0:
            reason = "\n".join((result.stderr or result.stdout).strip().splitlines()[-12:])
            raise EnvironmentFailed(
                f"{' '.join(command[:4])} failed for {self.path}: {reason}\nRemedy: {remedy}."
            )

    def _write_stamp(self) -> None:
        stamp = {
            "digest": self.digest,
            "variant": self.variant,
            "interpreter": asdict(self.interpreter),
        }
        partial = os.path.join(self.path, STAMP + ".part")
        with open(partial, "w", encoding="utf-8") as file:
            json.dump(stamp, file, indent=2, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, os.path.join(self.path, STAMP))


def _run(command: list[str], timeout: float) -> subprocess.CompletedProcess[str]:
    clean: Mapping[str, str] = {
        key: value for key, value in os.environ.items() if not key.startswith("PYTHON")
    }
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, env=clean, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFailed(f"{command[0]} did not run to its end: {error}") from error


def _last_line(output: str) -> str:
    lines = output.strip().splitlines()
    return lines[-1] if lines else "no output"
