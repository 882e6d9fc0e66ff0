# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command ``modelops-host``: what runs on a host when no playbook does.

    modelops-host check --snapshot FOLDER [--max-bytes N]     before a service starts
    modelops-host verify --store FOLDER [--webhook-file FILE] by a timer
    modelops-host certificates --root FOLDER --metrics FILE [-- RENEWAL]  by a timer
    modelops-host memory --slice SERVICE=SLICE ...            by a timer, and when a slot stops

Exit status: 0 all is right, 1 it could not be found out, 2 wrong arguments, 3 something is damaged,
ends soon or was not renewed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from .._errors import ModelError
from .alert import read_address
from .certificates import check_expiry, renew
from .memory import Watch
from .output import error
from .snapshot import check
from .store import verify

DAMAGED = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments``, those of the process by default."""
    given = _parser().parse_args(arguments)
    try:
        if given.command == "check":
            right = check(given.snapshot, given.max_bytes)
        elif given.command == "verify":
            right = verify(given.store, given.webhook, given.webhook_file)
        elif given.command == "certificates":
            webhook = given.webhook or read_address(given.webhook_file)
            renewed = renew(given.renewal)
            right = check_expiry(given.root, given.metrics, given.days, webhook) and renewed
        else:
            watch = Watch(given.state, given.metrics, dict(given.slice))
            watch.count()
            if not given.only_count:
                watch.tell(given.webhook or read_address(given.webhook_file))
            right = True
    except (ModelError, OSError) as failure:
        error(f"{given.command} could not finish: {failure}")
        return 1
    return 0 if right else DAMAGED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="modelops-host", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("check", help="compare one snapshot with its manifest")
    one.add_argument("--snapshot", required=True, help="the folder, or a link to it")
    one.add_argument(
        "--max-bytes",
        type=_size,
        help="read the bytes of snapshots up to this size only; of larger ones, look at presence, "
        "size, mode and fs-verity",
    )
    every = commands.add_parser("verify", help="hash every snapshot of a store")
    every.add_argument("--store", required=True, help="the folder of all snapshots")
    _add_webhook(every)
    ends = commands.add_parser("certificates", help="find out when certificates end")
    ends.add_argument("--root", required=True, help="the folder with a folder for each domain")
    ends.add_argument("--metrics", required=True, help="the file for Prometheus to write")
    ends.add_argument("renewal", nargs="*", help="a command with arguments that is run before")
    ends.add_argument("--days", type=int, default=14, help="warn when fewer days remain")
    _add_webhook(ends)
    memory = commands.add_parser("memory", help="count what the kernel killed for its memory")
    memory.add_argument("--slice", type=_pair, action="append", required=True, metavar="NAME=UNIT")
    memory.add_argument("--state", required=True, help="the file that remembers the last counts")
    memory.add_argument("--metrics", required=True, help="the file for Prometheus to write")
    memory.add_argument("--only-count", action="store_true", help="leave the alert to the next run")
    _add_webhook(memory)
    return parser


def _add_webhook(command: argparse.ArgumentParser) -> None:
    hook = command.add_mutually_exclusive_group()
    hook.add_argument("--webhook", default="", help="POST alerts to this address")
    hook.add_argument("--webhook-file", default="", help="a file that holds the address")


def _pair(text: str) -> tuple[str, str]:
    name, equals, unit = text.partition("=")
    if not (name and equals and unit):
        raise argparse.ArgumentTypeError(f"'{text}' is not SERVICE=SLICE")
    return name, unit


def _size(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"'{text}' is not a count of bytes")
    return int(text)
