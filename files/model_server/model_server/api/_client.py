# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether the client of a request is still there."""

from __future__ import annotations

import select
from collections.abc import Callable, Mapping
from typing import Any


def watch(environ: Mapping[str, Any]) -> Callable[[], bool]:
    """Return a function that tells whether the client has closed its connection.

    It reads nothing, so that a request sent ahead on the same connection is left alone. Without
    gunicorn's socket, as in tests, the client counts as present.
    """
    connection = environ.get("gunicorn.socket")
    if connection is None:
        return lambda: False
    poll = select.poll()
    # Not POLLIN: bytes may wait there, and hide the end behind them.
    poll.register(connection, select.POLLRDHUP)
    return lambda: bool(poll.poll(0))
