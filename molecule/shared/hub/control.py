# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The control endpoint of the test hub, for tests that reach it only over HTTP.

* ``GET /__hub__/faults``: the armed faults; ``POST`` with ``{"kind", "path", "count"}`` arms one;
  ``DELETE`` disarms all;
* ``GET /__hub__/requests``: the journal; ``DELETE`` forgets it;
* ``GET /__hub__/tokens``: ``{"hosts": [...]}``, where credentials were received.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .exchange import Exchange


def answer(exchange: Exchange) -> bool:
    """Answer the control addresses; False when the path is none of them."""
    if exchange.parts[0] != "__hub__":
        return False
    hub, request = exchange.hub, (exchange.command, *exchange.parts[1:])
    if request == ("GET", "requests"):
        return exchange.send_json(hub.journal.records())
    if request == ("GET", "tokens"):
        return exchange.send_json({"hosts": hub.journal.token_hosts()})
    if request == ("DELETE", "requests"):
        hub.journal.clear()
    elif request == ("DELETE", "faults"):
        hub.faults.clear()
    elif request == ("POST", "faults"):
        try:
            hub.faults.add(**json.loads(exchange.body))
        except (TypeError, ValueError) as error:
            return exchange.send_json({"error": str(error)}, 400)
    elif request != ("GET", "faults"):
        return False
    return exchange.send_json({"faults": hub.faults.armed()})
