# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scan pickles with picklescan (https://github.com/mmaitre314/picklescan).

Request: ``{"folder": path, "files": [relative paths]}``. Answer: ``{"scanner": {"name", "version"},
"files": [{"path", "dangerous": [globals], "unknown": [globals], "errors": [texts]}]}``. Nothing is
unpickled. Whatever the scanner could not read as a whole is an error, also where picklescan itself
passes over it with a warning.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import logging
import os
import re
import resource
import sys
import zipfile
from typing import Any

MEMORY_BYTES = 4 * 1024**3
# Warnings of picklescan that hide nothing: of globals, which are in its result; of a file that is
# scanned as a plain pickle instead of one of torch; and of a tensor in an archive of torch that
# begins like a pickle by chance (torch unpickles data.pkl and constants.pkl alone).
_HARMLESS = re.compile(
    r".* import '.*' FOUND.*"
    r"|.*Invalid PyTorch magic number.*"
    r"|.*could not parse .*:[^:]*/data/\d+ as pickle.*",
    re.DOTALL,
)


class _Complaints(logging.Handler):
    """Keep what the scanner warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if not _HARMLESS.fullmatch(text):
            self.texts.append(text)


def scan(scanner: Any, path: str) -> dict[str, list[str]]:
    """Return the globals that the file ``path`` imports, and what hindered the scan."""
    complaints = _Complaints()
    log = logging.getLogger("picklescan")
    log.handlers, log.propagate = [complaints], False
    dangerous, unknown = set(), set()
    try:
        with open(path, "rb") as stream:
            # An archive may hang behind a pickle; picklescan would look at one of the two.
            if stream.read(4) != b"PK\x03\x04" and zipfile.is_zipfile(stream):
                complaints.texts.append("it is an archive behind something else")
        result = scanner.scan_file_path(path)
        for found in result.globals:
            name = f"{found.module}.{found.name}"
            if found.safety == scanner.SafetyLevel.Dangerous:
                dangerous.add(name)
            elif found.safety != scanner.SafetyLevel.Innocuous:
                unknown.add(name)
        if result.scan_err and not complaints.texts:
            complaints.texts.append("it could not be read to its end")
        if result.scanned_files == 0:
            complaints.texts.append("it holds no pickle that the scanner knows")
    except Exception as error:  # whatever hinders the scan, the file is not proven harmless
        complaints.texts.append(f"{type(error).__name__}: {error}")
    return {
        "dangerous": sorted(dangerous),
        "unknown": sorted(unknown),
        "errors": [text.replace(path, "the file")[:400] for text in complaints.texts],
    }


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # each thread of it reserves memory
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    try:
        scanner = importlib.import_module("picklescan.scanner")
        version = importlib.metadata.version("picklescan")
    except ImportError as error:
        message = (
            f"The interpreter {sys.executable} has no picklescan ({error}). Run the role "
            "python_env with its entry point tools, or give tools_python."
        )
        sys.stdout.write(json.dumps({"error": message, "code": "tools_missing"}))
        return
    files = [
        {"path": path, **scan(scanner, os.path.join(request["folder"], path))}
        for path in request["files"]
    ]
    sys.stdout.write(
        json.dumps({"scanner": {"name": "picklescan", "version": version}, "files": files})
    )


if __name__ == "__main__":
    main()
