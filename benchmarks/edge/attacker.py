# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Press one edge in one way until the standard input ends; says ``pressing`` when it does.

Usage: attacker.py NAME AUTHORITY PORT PATH ATTACK
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path

FILES = Path(__file__).resolve().parents[2] / "molecule" / "edge" / "files"
sys.path.insert(0, str(FILES))

# Found only after the line above
import pressure  # noqa: E402

# Not the address of those who are measured, since limits are for each address.
SOURCE = "127.0.0.2"


async def press(name: str, authority: str, port: str, path: str, attack: str) -> None:
    """Begin the attack, and end it when told."""
    context = ssl.create_default_context(cafile=authority)
    edge = pressure.Edge(name, context, "127.0.0.1", int(port))
    known = pressure.attacks(edge, SOURCE, path)
    known["burst, 10 at a time"] = pressure.burst(edge, SOURCE, 1000, 10)
    async with known[attack]:
        print("pressing", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(press(*sys.argv[1:]))
