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

import pytest

from gunicorn_process import Gunicorn
from support import AUTHORIZED

pytestmark = pytest.mark.live
EXAMPLES = 40
SECONDS = 240


def test_no_request_finds_a_gap(contract_server: Gunicorn, tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        *("run", f"http://127.0.0.1:{contract_server.port}/openapi.json"),
        *("--checks", "all", "--max-examples", str(EXAMPLES)),
        *("--header", f"Authorization: {AUTHORIZED['Authorization']}"),
        *("--generation-database", "none", "--no-color"),
    ]
    answer = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert answer.returncode == 0, answer.stdout[-6000:] + answer.stderr
    tested = re.search(r"Tested: (\d+)", answer.stdout)
    generated = re.search(r"(\d+) generated", answer.stdout)
    assert tested and generated, answer.stdout
    print(f"{generated[1]} requests to {tested[1]} operations")
    assert int(generated[1]) > 20 * int(tested[1])
