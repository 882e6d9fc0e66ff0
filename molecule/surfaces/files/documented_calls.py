# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Run every call of docs/api.md against the deployed services.

Usage: documented_calls.py DOCUMENT ADDRESS CA KEY PASSWORD

A call is a command of a `console` block that begins with `ask`, the shell function that the
document defines. It must answer with the status that the document shows (200 where it shows none),
and every key of the JSON that is shown must be in the answer.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# The document's `ask`, with the test's names and addresses, and the status after the answer.
PRELUDE = """
ask() {
  local service=$1 path=$2; shift 2
  curl --silent --max-time 120 --cacert "$CA" --resolve "$service.example.test:443:$ADDRESS" \\
    --header "Authorization: Bearer $API_KEY" --write-out '\\nSTATUS %{http_code}\\n' \\
    "https://$service.example.test$path" "$@"
}
"""
KEY = re.compile(r'"(\w+)":')


@dataclass
class Call:
    """One documented command and the output that is shown for it."""

    command: str
    shown: str

    @property
    def status(self) -> int:
        """Status that the document shows."""
        found = re.search(r"^HTTP/\S+ (\d{3})", self.shown, re.MULTILINE)
        return int(found[1]) if found else 200


def calls(text: str) -> Iterator[Call]:
    """Find the calls of a document, in their order."""
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            length = 1
            while "\n".join(lines[:length]).count("'") % 2 or lines[length - 1].endswith("\\"):
                length += 1
            command = "\n".join(lines[:length])
            if re.match(r"(\w+=\$\(|API_KEY=\$TOKEN )?ask \w", command):
                yield Call(command, "\n".join(lines[length:]))


def run(call: Call, environment: dict[str, str]) -> str:
    """Run one call in a shell that keeps what earlier ones assigned; return what it printed."""
    assigned = re.match(r"(\w+)=\$\((.*)\)$", call.command, re.DOTALL)
    command = assigned[2] if assigned else call.command
    answer = subprocess.run(
        ["bash", "-c", PRELUDE + command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    output = answer.stdout.replace("\nSTATUS 200\n", "") if assigned else answer.stdout
    if assigned:
        environment[assigned[1]] = output.strip()
    return answer.stdout


def main() -> int:
    document, address, ca, key, password = sys.argv[1:6]
    environment = {
        **os.environ,
        "ADDRESS": address,
        "CA": ca,
        "API_KEY": key,
        "PASSWORD": password,
    }
    found = list(calls(Path(document).read_text(encoding="utf-8")))
    failed = 0
    for call in found:
        output = run(call, environment)
        statuses = re.findall(r"STATUS (\d{3})", output)
        missing = set(KEY.findall(call.shown)) - set(KEY.findall(output))
        if str(call.status) not in statuses or missing:
            failed += 1
            print(f"{call.command}\n  documented {call.status}, answered {statuses}; {missing}")
            print(output[-1500:])
    print(f"{len(found)} documented calls, {failed} answered otherwise")
    return 1 if failed or not found else 0


if __name__ == "__main__":
    sys.exit(main())
