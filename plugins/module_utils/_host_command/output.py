# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines for a person, or for the journal where systemd runs the command."""

from __future__ import annotations

import os
import sys

from .._manifest import Difference

_WORDS = {
    "missing": "is missing",
    "extra": "does not belong there",
    "different": "does not have the bytes of the manifest",
    "unsealed": "has another mode or owner than root's read-only",
}


def say(text: str) -> None:
    """Print a line of information."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def error(text: str) -> None:
    """Print a line to standard error, an error for the journal."""
    _tell(3, text)


def warn(text: str) -> None:
    """Print a line to standard error, a warning for the journal."""
    _tell(4, text)


def _tell(priority: int, text: str) -> None:
    # The journal reads priorities in this form (sd-daemon(3)).
    prefix = f"<{priority}>" if "JOURNAL_STREAM" in os.environ else ""
    sys.stderr.write(f"{prefix}{text}\n")
    sys.stderr.flush()


def report(folder: str, difference: Difference, unsealed: list[str]) -> None:
    """Print one line for each file of ``folder`` that is not as it should be."""
    for reason, paths in {**difference.to_dict(), "unsealed": unsealed}.items():
        for path in paths:
            error(f"{os.path.normpath(os.path.join(folder, path))} {_WORDS[reason]}")
