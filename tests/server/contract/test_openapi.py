# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The server against its own OpenAPI document: schemathesis sends what it allows and what not.

All its checks are on; an answer 5xx, an undocumented status or body, a refused valid body and an
accepted invalid one all fail. The engines are stand-ins: what is tested is the surface.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from port_gunicorn import PortGunicorn
from support import AUTHORIZED, chat_sections, settings_content

pytestmark = pytest.mark.live
EXAMPLES = 10
SECONDS = 300
SERVICES: dict[str, dict[str, Any]] = {
    "embedding": {"authentication": {"methods": ["api_key", "jwt"], "lockout_failures": 1000}},
    "chat": chat_sections(),
}


@pytest.mark.parametrize("task", SERVICES)
def test_no_request_finds_a_gap(task: str, tmp_path: Path) -> None:
    sections = {
        "rates": {"requests_per_minute": 0, "address_requests_per_minute": 0},
        "limits": {
            "body_bytes": 2**20,
            "inputs_per_request": 100_000,
            "request_timeout_seconds": 20,
        },
        **SERVICES[task],
    }
    if task == "chat":
        sections["conversations"] = {"file": str(tmp_path / "kept.db")}
    server = PortGunicorn(tmp_path, "fake_wsgi:app", settings_content(tmp_path, **sections))
    try:
        server.wait_ready()
        answer = run_schemathesis(server.origin, tmp_path)
    finally:
        server.close()
    assert answer.returncode == 0, answer.stdout[-8000:] + answer.stderr
    tested = re.search(r"Tested: (\d+)", answer.stdout)
    generated = re.search(r"(\d+) generated", answer.stdout)
    assert tested and generated, answer.stdout
    print(f"{task}: {generated[1]} requests to {tested[1]} operations")
    assert int(generated[1]) > 20 * int(tested[1])


def run_schemathesis(origin: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        *("run", f"{origin}/openapi.json"),
        *("--checks", "all", "--max-examples", str(EXAMPLES)),
        *("--header", f"Authorization: {AUTHORIZED['Authorization']}"),
        *("--generation-database", "none", "--no-color"),
        # On a busy machine even simple values come slowly; that says nothing about the service.
        *("--suppress-health-check", "too_slow"),
    ]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
    )
