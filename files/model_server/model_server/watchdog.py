# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Words to the service manager, by its socket in $NOTIFY_SOCKET.

Protocol: sd_notify(3). The unit needs `NotifyAccess=all`, since a worker speaks, not the arbiter.
"""

from __future__ import annotations

import os
import socket

import structlog

ALIVE = "WATCHDOG=1"

_log = structlog.get_logger(__name__)
_SEND_SECONDS = 5


def allow(seconds: float) -> str:
    """The word that sets how long the service manager waits for the next `ALIVE`; 0 is for ever."""
    return f"WATCHDOG_USEC={int(seconds * 1_000_000)}"


def notify(*words: str) -> None:
    """Send words; without a service manager nothing happens, and one that is deaf is logged."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(_SEND_SECONDS)
        try:
            manager.sendto("\n".join(words).encode(), address)
        except OSError as error:
            _log.error("notify_failed", words=words, reason=str(error))
