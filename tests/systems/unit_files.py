# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Units of systemd: a parser as strict as systemd's, and what systemd itself says of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

SUFFIXES = (".service", ".timer", ".socket", ".slice", ".path", ".target")
# What is not there on the machine of the tests is no fault of the unit.
_MISSING = re.compile(r"is not executable: No such file|Failed to create|not found")


def settings(text: str) -> list[tuple[str, str, str]]:
    """Return section, key and value of each line; raise ``ValueError`` for any other line."""
    found, section = [], ""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if not line.strip() or line.startswith(("#", ";")):
            continue
        heading = re.fullmatch(r"\[([A-Z]\w+)\]", line)
        setting = re.fullmatch(r"([A-Z]\w+)=(.*)", line)
        if heading:
            section = heading[1]
        elif setting and section:
            found.append((section, setting[1], setting[2]))
        else:
            raise ValueError(f"no setting of a unit: {line!r}")
    return found


def can_analyze() -> bool:
    """Return whether there is a systemd that analyses files, as from version 250 on."""
    if shutil.which("systemd-analyze") is None:
        return False
    said = subprocess.run(
        ["systemd-analyze", "--version"], capture_output=True, text=True, check=True
    )
    version = re.match(r"systemd (\d+)", said.stdout)
    return version is not None and int(version[1]) >= 250


def complaints(path: Path) -> list[str]:
    """Return what ``systemd-analyze verify`` says of a unit, but for what this machine lacks."""
    command = ["systemd-analyze", "verify", "--man=no", "--generators=no", str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    own = [line for line in said.splitlines() if path.name.partition("@")[0] in line]
    return [line for line in own if not _MISSING.search(line)]


def exposure(path: Path) -> float:
    """Return the score that ``systemd-analyze security`` gives to a unit: 0 is best, 10 worst."""
    command = ["systemd-analyze", "security", "--no-pager", "--offline=true", str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    score = re.search(r"exposure level for .*: ([0-9.]+)", said)
    assert score, said
    return float(score[1])
