# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell a webhook what has happened on this host."""

from __future__ import annotations

import json
import socket
import time
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, build_opener

from .._errors import ModelError
from .._retry import Backoff, TransientError
from .output import error, say

TIMEOUT_SECONDS = 15
RETRIES = 5


def send(webhook: str, event: str, **details: Any) -> bool:
    """POST one alert; say whether it was taken.

    The body is JSON: ``event``, ``host``, ``time`` (ISO 8601, UTC) and ``details``. Failures are
    tried again, then printed.
    """
    alert = {
        "event": event,
        "host": socket.gethostname(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **details,
    }
    try:
        Backoff(RETRIES).call(lambda: _post(webhook, json.dumps(alert).encode()))
    except ModelError as failure:
        error(f"The alert was not delivered: {failure}")
        return False
    say("The alert was delivered")
    return True


def read_address(file: str) -> str:
    """Return the address that a file holds; empty where no file is named."""
    if not file:
        return ""
    with open(file, encoding="utf-8") as stream:
        return stream.read().strip()


def _post(webhook: str, body: bytes) -> None:
    # Path and query may hold a secret, so that messages name only the host.
    parts = urlsplit(webhook)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ModelError("The webhook is not an http or https address.", "invalid_option")
    headers = {"Content-Type": "application/json", "User-Agent": "modelops.serving"}
    request = Request(webhook, data=body, headers=headers, method="POST")
    try:
        with build_opener().open(request, timeout=TIMEOUT_SECONDS):
            pass
    except HTTPError as failure:
        failure.close()
        raise TransientError(f"{parts.hostname} answered HTTP {failure.code}.") from failure
    except (OSError, HTTPException, ValueError) as failure:
        raise TransientError(f"{parts.hostname} cannot be reached: {failure}.") from failure
