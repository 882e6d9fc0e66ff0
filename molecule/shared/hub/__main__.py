# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Run the test hub as a command: ``python3 molecule/shared/hub ROOT --port 8765``."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hub.server import TOKEN, Hub


def main() -> None:
    """Read the command line, print the address, serve until interrupted."""
    parser = argparse.ArgumentParser(prog="hub", description="a stand-in for the model hubs")
    parser.add_argument("root", type=Path, help="folder with <owner>/<name>/ below it")
    parser.add_argument("--bind", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8765, help="port to listen on; 0: a free one")
    parser.add_argument("--host", default="127.0.0.1", help="name by which clients call the hub")
    parser.add_argument("--cdn-host", default="localhost", help="name of the host of large files")
    parser.add_argument("--token", default=TOKEN, help="what opens private repositories")
    parser.add_argument("--log", type=Path, help="file that receives the requests as JSON lines")
    parser.add_argument("--stall-seconds", type=float, default=60, help="silence of a stall")
    parser.add_argument(
        "--bytes-per-second", type=int, default=0, help="speed of one body; 0: full"
    )
    hub = Hub(**vars(parser.parse_args()))
    print(hub.url, flush=True)
    with suppress(KeyboardInterrupt):
        hub.serve_forever()


if __name__ == "__main__":
    main()
