# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Ask the edge of a host all the time, until SIGTERM; write what was seen as JSON.

Usage: steady.py NAME AUTHORITY RECORD

Half of the clients keep their connection, half open one for each request. A request is lost if it
gets no whole answer. There is one exception, that of RFC 9112, 9.3.1: a connection on which an
answer came before may be closed by the server while the next request is on its way. Such a request
is sent again, once, on a new connection; ``retried`` counts them.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import signal
import ssl
import sys
from dataclasses import dataclass, field

from pressure import PATIENCE, Connection, Edge, edge_of

# Not limited, and answered by the server behind the edge.
PATH = "/health"
CLIENTS, PAUSE = 3, 0.01


class Closed(Exception):
    """The connection was closed before a byte of the answer."""


@dataclass
class Seen:
    """What came back."""

    statuses: collections.Counter[str] = field(default_factory=collections.Counter)
    kept: int = 0
    fresh: int = 0
    retried: int = 0
    lost: list[str] = field(default_factory=list)


async def exchange(connection: Connection, name: str) -> tuple[str, bool]:
    """Send a request; return the status, and whether the connection may be used again."""
    reader, writer = connection
    try:
        writer.write(f"GET {PATH} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        await writer.drain()
        first = await asyncio.wait_for(reader.read(1), PATIENCE)
    except (ConnectionError, ssl.SSLError) as error:
        raise Closed(repr(error)) from error
    if not first:
        raise Closed("end of the connection")
    head = (first + await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)).decode()
    status, *lines = head.split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines if line)
    await asyncio.wait_for(reader.readexactly(int(headers["content-length"])), PATIENCE)
    return status.split()[1], headers.get("connection") != "close"


async def ask(edge: Edge, source: str, seen: Seen, keep: bool, ended: asyncio.Event) -> None:
    """Send one request after the other."""
    connection: Connection | None = None
    again = False
    while not ended.is_set():
        reused = connection is not None
        try:
            connection = connection or await edge.connect(source)
            status, usable = await exchange(connection, edge.name)
        except Closed as error:
            if reused:
                seen.retried += 1
                again = True
            else:
                seen.lost.append(f"{'again' if again else 'new'} connection: {error}")
                again = False
            usable = False
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            seen.lost.append(f"{'kept' if reused else 'new'} connection: {error!r}")
            usable = again = False
        else:
            again = False
            seen.statuses[status] += 1
            seen.kept += reused
            seen.fresh += not reused
        if connection and not (usable and keep):
            connection[1].transport.abort()
            connection = None
        await asyncio.sleep(PAUSE)


async def ask_until_told(name: str, authority: str) -> Seen:
    """Run all clients until SIGTERM."""
    edge, source = edge_of(name, authority)
    seen, ended = Seen(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    kinds = [True] * CLIENTS + [False] * CLIENTS
    await asyncio.gather(*(ask(edge, source, seen, keep, ended) for keep in kinds))
    return seen


def main() -> None:
    """Ask, then write the record."""
    name, authority, record = sys.argv[1:]
    seen = asyncio.run(ask_until_told(name, authority))
    with contextlib.closing(open(record, "w", encoding="utf-8")) as file:
        json.dump(vars(seen), file)


if __name__ == "__main__":
    main()
