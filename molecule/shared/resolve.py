# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Run a Python program that finds names at other addresses, as `curl --resolve` does.

Usage: resolve.py NAME=ADDRESS[,NAME=ADDRESS...] PROGRAM [ARGUMENT...]
"""

from __future__ import annotations

import os
import runpy
import socket
import sys
from typing import Any

_getaddrinfo = socket.getaddrinfo


def main() -> None:
    """Replace how names are found, then run the program under its own name."""
    places = dict(pair.split("=", 1) for pair in sys.argv[1].split(","))

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return _getaddrinfo(places.get(name, name), *arguments, **options)

    socket.getaddrinfo = getaddrinfo
    sys.argv = sys.argv[2:]
    sys.path[0] = os.path.dirname(sys.argv[0])
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
