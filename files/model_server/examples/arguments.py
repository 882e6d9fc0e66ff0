# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Command line of the examples."""

from __future__ import annotations

import argparse
from collections.abc import Callable

Main = Callable[[str, str | None, str | None], None]


def run(main: Main, description: str | None) -> None:
    """Read where the service is and call `main(url, key, ca)`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--url", required=True, help="address, such as https://minilm.example.com")
    parser.add_argument("--key", help="API key or token; without it none is sent")
    parser.add_argument("--ca", help="authority of a self-signed certificate, in PEM form")
    given = parser.parse_args()
    main(given.url, given.key, given.ca)
