# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By a timer: renew, then say when each certificate of a folder ends, as a metric and an alarm."""

from __future__ import annotations

import os
import ssl
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._files import make_folders, write_atomic
from .alert import send
from .output import error, say

CHAIN = "fullchain.pem"
METRIC = "modelops_certificate_expiry_timestamp_seconds"
DAY_SECONDS = 86_400
# Less than this part of its lifetime, and a renewal is overdue: certbot renews at a third.
PART = 4
OPENSSL_SECONDS = 30


@dataclass(frozen=True)
class Certificate:
    """A certificate in force from ``start`` to ``end`` (epoch), or the ``problem`` with it."""

    domain: str
    start: int = 0
    end: int = 0
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of the alert."""
        ends = "" if self.problem else _written(self.end)
        return {"domain": self.domain, "ends": ends, "problem": self.problem}


def renew(command: Sequence[str]) -> bool:
    """Run ``command``, if there is one; say whether it succeeded."""
    if not command:
        return True
    status = subprocess.run(command, check=False).returncode
    if status:
        error(f"The renewal by {command[0]} ended with status {status}")
    return status == 0


def check_expiry(
    root: str, metrics: str, days: int, webhook: str = "", now: float | None = None
) -> bool:
    """Say whether all certificates below ``root`` last; write ``metrics``, print and send the rest.

    One lasts unless fewer than ``days`` remain, or a quarter of its lifetime where that is less.
    Raises ``OSError`` when a folder cannot be listed or written.
    """
    moment = int(time.time() if now is None else now)
    domains = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    found = [_read(root, domain) for domain in domains]
    make_folders(os.path.dirname(metrics))
    write_atomic(metrics, metric_lines(found).encode(), 0o644)
    ending = [item for item in found if item.problem or item.end - moment < _margin(item, days)]
    for item in ending:
        error(f"The certificate of {item.domain} {item.problem or f'ends {_written(item.end)}'}")
    say(f"{root}: {len(found)} certificates were read, {len(ending)} end soon or are unreadable")
    if ending and webhook:
        send(webhook, "certificate_ends", certificates=[item.to_dict() for item in ending])
    return not ending


def metric_lines(found: list[Certificate]) -> str:
    """Return the metric in the form of Prometheus; what could not be read has no line."""
    lines = [
        f"# HELP {METRIC} When the certificate of a domain ends.",
        f"# TYPE {METRIC} gauge",
        *(f'{METRIC}{{domain="{item.domain}"}} {item.end}' for item in found if not item.problem),
    ]
    return "\n".join(lines) + "\n"


def _margin(item: Certificate, days: int) -> float:
    return min(days * DAY_SECONDS, (item.end - item.start) / PART)


def _read(root: str, domain: str) -> Certificate:
    path = os.path.join(root, domain, CHAIN)
    command = ["openssl", "x509", "-noout", "-startdate", "-enddate", "-in", path]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=OPENSSL_SECONDS, check=False
        )
        dates = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
        start, end = (ssl.cert_time_to_seconds(dates[key]) for key in ("notBefore", "notAfter"))
    except (OSError, KeyError, ValueError, subprocess.TimeoutExpired):
        return Certificate(domain, problem=f"cannot be read from {path}")
    return Certificate(domain, start, end)


def _written(moment: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
