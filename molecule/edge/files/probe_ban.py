# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Guess passwords until the edge bans this address, then wait until it is let in again.

Usage: probe_ban.py INTERFACE NETWORK

Meanwhile the last address of the network, which the interface is given for that, must be served.
Prints each check that fails, then exits with 1.
"""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Callable

from outside import SIGNED, ask, check, connect, reachable, run
from pressure import last_address

WRONG = "Basic " + base64.b64encode(b"ada:of another garden").decode()
GUESSES = 5
# Far above what the scenario sets; only a ban that never comes, or never ends, takes that long.
PATIENCE_SECONDS = 120


def comes(holds: Callable[[], bool]) -> bool:
    """Whether it holds at last."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(1)
    return False


def status_from(address: str) -> int:
    """Ask from another address than that of the route; return the status."""
    connection = connect(SIGNED, 443)
    connection.source_address = (address, 0)
    connection.request("GET", "/health")
    return connection.getresponse().status


def check_ban() -> None:
    """Each port is closed for the address, and for no other, until the time of the ban is over."""
    # One failure is no reason, and neither are requests that succeed.
    statuses = [ask("GET", "/health").status for _try in range(10)]
    check("who does nothing wrong is served", statuses == [200] * 10, statuses)
    statuses = [ask("GET", "/v1/models", Authorization=WRONG).status for _try in range(GUESSES)]
    check("wrong passwords are refused", statuses == [401] * GUESSES, statuses)
    check("the address is banned", comes(lambda: not reachable(443)))
    with last_address(*sys.argv[1:]) as neighbour:
        statuses = [status_from(neighbour) for _try in range(5)]
    check("another address is served", statuses == [200] * 5, statuses)
    open_ = [port for port in (80, 443, 18789) if reachable(port)]
    check("on each port", not open_, open_)
    check("and let in again", comes(lambda: reachable(443)))
    check("and served", ask("GET", "/health").status == 200)


if __name__ == "__main__":
    sys.exit(run([check_ban]))
