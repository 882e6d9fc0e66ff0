# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Press the edge of a host from one address, and ask it from another one meanwhile.

Usage: pressure.py NAME AUTHORITY INTERFACE NETWORK

The address that presses is the last one of the network, which this adds to the interface for as
long as it runs. Prints one JSON object: for each attack, what it did, and the statuses of the
witness. Exits with 1 unless every attack took place and every request of the witness got 200.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import ipaddress
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

PATH = "/v1/models"
# How long an attack lasts at least, and between requests of the witness, and how many those are.
SECONDS, PAUSE, LEAST = 5.0, 0.2, 10
# How many connections are opened, or requests sent, at the same time.
AT_A_TIME = 50
PATIENCE = 30.0
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Edge:
    """What is pressed and asked."""

    name: str
    context: ssl.SSLContext
    address: str
    port: int = 443

    async def connect(self, source: str) -> Connection:
        """Open a connection from an address; chain and name are verified."""
        opening = asyncio.open_connection(
            self.address,
            self.port,
            ssl=self.context,
            server_hostname=self.name,
            local_addr=(source, 0),
        )
        return await asyncio.wait_for(opening, PATIENCE)

    async def ask(self, source: str, key: str, path: str = PATH) -> int:
        """Send one request on a connection of its own; return the status."""
        reader, writer = await self.connect(source)
        with contextlib.closing(writer):
            head = f"GET {path} HTTP/1.1\r\nHost: {self.name}\r\nX-API-Key: {key}\r\n"
            writer.write(f"{head}Connection: close\r\n\r\n".encode())
            status = await asyncio.wait_for(reader.readline(), PATIENCE)
            await asyncio.wait_for(reader.read(), PATIENCE)
            return int(status.split()[1])


async def outcome(request: Awaitable[int]) -> str:
    """Return the status of a request, or what went wrong."""
    try:
        return str(await request)
    except (OSError, EOFError, asyncio.TimeoutError, IndexError) as error:
        return type(error).__name__


async def in_groups(
    count: int, call: Callable[[], Awaitable[Any]], at_a_time: int = AT_A_TIME
) -> list[Any]:
    """Do something ``count`` times, some of them at a time."""
    places = asyncio.Semaphore(at_a_time)

    async def one() -> Any:
        async with places:
            return await call()

    return list(await asyncio.gather(*(one() for _index in range(count))))


# -- attacks ---------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def held(
    edge: Edge, source: str, count: int, opening: str = "", trickle: str = ""
) -> AsyncIterator[dict[str, Any]]:
    """Hold connections that sent ``opening``; each sends ``trickle`` every half second."""
    connections: list[Connection] = await in_groups(count, lambda: edge.connect(source))
    done: dict[str, Any] = {"connections": len(connections)}

    async def send() -> None:
        text = opening
        while True:
            for _reader, writer in connections:
                if text and not writer.is_closing():
                    writer.write(text.encode())
            await asyncio.sleep(0.5)
            text = trickle

    sending = asyncio.create_task(send())
    try:
        yield done
        done["left open by the edge"] = sum(not reader.at_eof() for reader, _writer in connections)
    finally:
        sending.cancel()
        for _reader, writer in connections:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def burst(
    edge: Edge, source: str, count: int, at_a_time: int = AT_A_TIME
) -> AsyncIterator[dict[str, Any]]:
    """Send requests as fast as they are answered."""
    done: dict[str, Any] = {}
    sending = asyncio.create_task(
        in_groups(count, lambda: outcome(edge.ask(source, "of the burst")), at_a_time)
    )
    try:
        yield done
        done["requests"] = dict(collections.Counter(await sending))
    finally:
        sending.cancel()


def attacks(
    edge: Edge, source: str, path: str = "/predict"
) -> dict[str, contextlib.AbstractAsyncContextManager[Any]]:
    """Return every attack, to be begun; ``path`` takes a POST."""
    headers = f"POST {path} HTTP/1.1\r\nHost: {edge.name}\r\nX-API-Key: of the attack\r\n"
    body = f"{headers}Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n"
    return {
        "slow headers": held(edge, source, 200, headers, "X-More: of them\r\n"),
        "slow body": held(edge, source, 200, body, " "),
        "idle connections": held(edge, source, 500),
        "burst": burst(edge, source, 1000),
    }


# -- the witness -----------------------------------------------------------------------------------


async def watch(edge: Edge, source: str) -> dict[str, int]:
    """Ask every now and then; return how often each status came back."""
    seen: list[str] = []
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline or len(seen) < LEAST:
        seen.append(await outcome(edge.ask(source, "of the witness")))
        await asyncio.sleep(PAUSE)
    return dict(collections.Counter(seen))


def faults(name: str, done: dict[str, Any], seen: dict[str, int]) -> list[str]:
    """Return why an attack proves nothing, or what the witness did not get."""
    found = []
    if name == "burst" and "429" not in done["requests"]:
        found.append("burst: nothing was refused, so that nothing was pressed")
    if set(seen) != {"200"}:
        found.append(f"{name}: the witness got {seen}")
    return found


async def press(edge: Edge, attacker: str, witness: str) -> tuple[dict[str, Any], list[str]]:
    """Run every attack; return what was seen and what is wrong with it."""
    report: dict[str, Any] = {}
    wrong: list[str] = []
    for name, attack in attacks(edge, attacker).items():
        async with attack as done:
            seen = await watch(edge, witness)
        report[name] = {**done, "witness": seen}
        wrong += faults(name, done, seen)
    return report, wrong


@contextlib.contextmanager
def last_address(interface: str, network: str) -> Iterator[str]:
    """Give an interface the last address of its network, which engines give to nobody."""
    address = str(ipaddress.ip_network(network).broadcast_address - 1)
    where = [f"{address}/32", "dev", interface]
    subprocess.run(["ip", "address", "add", *where], check=True)
    try:
        yield address
    finally:
        subprocess.run(["ip", "address", "del", *where], check=True)


def edge_of(name: str, authority: str) -> tuple[Edge, str]:
    """Return the edge of a name, and the address from which it is reached."""
    with socket.create_connection((name, 443), PATIENCE) as reached:
        address, source = reached.getpeername()[0], reached.getsockname()[0]
    return Edge(name, ssl.create_default_context(cafile=authority), address), source


def main() -> int:
    """Press, and tell."""
    name, authority, interface, network = sys.argv[1:]
    edge, witness = edge_of(name, authority)
    with last_address(interface, network) as attacker:
        report, wrong = asyncio.run(press(edge, attacker, witness))
    print(json.dumps(report, indent=2))
    print("\n".join(wrong), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
