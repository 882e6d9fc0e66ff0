# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Scan a host that has the roles of the edge: testssl.sh from outside, gixy-next and lynis within.

Each finding must have a row in docs/security-findings.md, which says what came of it.
"""

from __future__ import annotations

import collections
import json
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from . import collection, engine, hosts, image, venv
from .machine import write_variables
from .paths import CACHE, ROOT, binary
from .report import Failure, run, step

ANSWERS = ROOT / "docs" / "security-findings.md"
DOMAIN = "scanned.example.test"
HOST, CLIENT = "scanners-host", "scanners-client"
NETWORK = "modelops-scanners"
IMAGE = "bookworm"
# What testssl.sh says beside is of its own course, or good.
SERIOUS = {"MEDIUM", "HIGH", "CRITICAL", "FATAL"}


@dataclass(frozen=True)
class Finding:
    """One thing that a scanner does not like."""

    scanner: str
    name: str
    severity: str
    what: str


def testssl_findings(text: str) -> Iterator[Finding]:
    """Read testssl.sh's JSON."""
    for entry in json.loads(text):
        if entry["severity"] in SERIOUS:
            yield Finding("testssl.sh", entry["id"], entry["severity"], entry["finding"])


def gixy_findings(text: str) -> Iterator[Finding]:
    """Read gixy-next's JSON."""
    for entry in json.loads(text):
        what = f"{entry['summary']} {entry['reason']}".strip()
        yield Finding("gixy-next", entry["plugin"], entry["severity"], what)


def lynis_findings(text: str) -> Iterator[Finding]:
    """Read lynis's report."""
    for kind, name, what in re.findall(
        r"^(warning|suggestion)\[\]=([^|]+)\|([^|]*)", text, re.MULTILINE
    ):
        yield Finding("lynis", name, kind.upper(), what)


def answered(text: str) -> dict[str, set[str]]:
    """Return what has a row in the document, by the scanner of its section."""
    found: dict[str, set[str]] = {}
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title = section.split(None, 1)[0]
        found[title] = set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE))
    return found


def unanswered(findings: Iterable[Finding], answers: Mapping[str, set[str]]) -> list[Finding]:
    """Return the findings without a row."""
    return [each for each in findings if each.name not in answers.get(each.scanner, set())]


def _exec(host: str, *command: str) -> str:
    """Run a scanner, whose exit status tells how much it found, and return what it printed."""
    asked = ["docker", "exec", host, *command]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout


def _scan_tls() -> str:
    report = "/root/testssl.json"
    _exec(CLIENT, "testssl", "--quiet", "--add-ca", "/root/ca.pem", "--jsonfile", report, DOMAIN)
    return engine.docker("exec", CLIENT, "cat", report)


def _scan_configuration() -> str:
    dump = engine.docker("exec", HOST, "nginx", "-T", "-q")
    command = [binary("scanners", "gixy"), "--format", "json", "-"]
    done = subprocess.run(command, input=dump, capture_output=True, text=True, check=False)
    return done.stdout


def _scan_host() -> str:
    _exec(HOST, "lynis", "audit", "system", "--quick", "--quiet")
    return engine.docker("exec", HOST, "cat", "/var/log/lynis-report.dat")


SCANS: Mapping[str, tuple[Callable[[], str], Callable[[str], Iterator[Finding]]]] = {
    "testssl.sh": (_scan_tls, testssl_findings),
    "gixy-next": (_scan_configuration, gixy_findings),
    "lynis": (_scan_host, lynis_findings),
}


@contextmanager
def _scanned_host() -> Iterator[None]:
    """Have the host and the client, set up by the roles, and remove them."""
    network = hosts.Network(NETWORK)
    known = hosts.Network(NETWORK, aliases=(DOMAIN,))
    try:
        hosts.add_network(NETWORK)
        hosts.start(hosts.Host(HOST, image.ensure(IMAGE), networks=(known,)))
        hosts.start(hosts.Host(CLIENT, image.ensure(IMAGE), networks=(network,)))
        command = [binary("dev", "ansible-playbook"), str(ROOT / "tests" / "scanners" / "site.yml")]
        command += ["--inventory", f"{HOST},{CLIENT},"]
        command += ["--connection", "community.docker.docker"]
        command += ["--extra-vars", f"@{write_variables(CACHE / 'machine.json')}"]
        paths = {"ANSIBLE_COLLECTIONS_PATH": str(collection.install())}
        run(command, log="soak-scanners", env=paths)
        yield
    finally:
        hosts.remove((HOST, CLIENT), (NETWORK,))


def run_scanners() -> dict[str, Any]:
    """Scan; return what each scanner found, and fail if a finding has no answer."""
    for name in ("dev", "scanners"):
        venv.ensure(name)
    findings: list[Finding] = []
    with engine.running(), _scanned_host():
        for name, (scan, read) in SCANS.items():
            with step(f"Scan with {name}"):
                report = scan()
            _keep(name, report)
            findings += read(report)
    record: dict[str, Any] = {name: _count(name, findings) for name in SCANS}
    open_ = unanswered(findings, answered(ANSWERS.read_text(encoding="utf-8")))
    if open_:
        listed = "\n".join(f"{f.scanner}, {f.name}, {f.severity}: {f.what}" for f in open_)
        raise Failure(f"{len(open_)} findings have no row in {ANSWERS.name}:\n{listed}")
    return record


def _keep(name: str, report: str) -> None:
    path = CACHE / "soak" / f"{name}.report"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report, encoding="utf-8")


def _count(name: str, findings: list[Finding]) -> dict[str, Any]:
    own = [each for each in findings if each.scanner == name]
    severities = dict(collections.Counter(each.severity for each in own))
    return {"by severity": severities, "found": sorted({each.name for each in own})}
