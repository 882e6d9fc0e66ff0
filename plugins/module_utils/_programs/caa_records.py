# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read CAA records with dnspython (https://www.dnspython.org).

Request: ``{"names": [host names], "resolvers": [addresses or names]}``, no resolvers for those of
the system. Answer: ``{"resolvers": [addresses], "found": {name: {"owner", "records": [{"critical",
"tag", "value"}], "failure"}}}``. ``owner`` is the first of the name and those above it that has
records (RFC 8659), empty where none has; ``failure`` says why no answer came.
"""

from __future__ import annotations

import importlib
import json
import socket
import sys
from typing import Any

SECONDS = 10.0


def main() -> None:
    """Answer the request on standard input."""
    resolvers = importlib.import_module("dns.resolver")
    request = json.load(sys.stdin)
    resolver = resolvers.Resolver(configure=not request["resolvers"])
    resolver.lifetime = SECONDS
    if request["resolvers"]:
        resolver.nameservers = [socket.gethostbyname(name) for name in request["resolvers"]]
    answer = {
        "resolvers": [str(server) for server in resolver.nameservers],
        "found": {name: _look_up(resolvers, resolver, name) for name in request["names"]},
    }
    json.dump(answer, sys.stdout)


def _look_up(resolvers: Any, resolver: Any, name: str) -> dict[str, Any]:
    labels = name.split(".")
    for first in range(len(labels)):
        owner = ".".join(labels[first:])
        try:
            records = [_record(data) for data in resolver.resolve(f"{owner}.", "CAA")]
        except (resolvers.NXDOMAIN, resolvers.NoAnswer):
            continue
        except (resolvers.NoNameservers, resolvers.LifetimeTimeout, OSError) as error:
            return {"owner": owner, "records": [], "failure": str(error)}
        return {"owner": owner, "records": records, "failure": ""}
    return {"owner": "", "records": [], "failure": ""}


def _record(data: Any) -> dict[str, Any]:
    return {
        "critical": bool(data.flags & 128),
        "tag": data.tag.decode().lower(),
        "value": data.value.decode(),
    }


if __name__ == "__main__":
    main()
