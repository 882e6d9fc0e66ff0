# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""modelops-host certificates: the metric, and who is warned of what ends."""

from __future__ import annotations

import ssl
import subprocess

import pytest
from ansible_collections.modelops.serving.plugins.module_utils import _host_command
from ansible_collections.modelops.serving.plugins.module_utils._host_command import (
    certificates as command,
)

DAY = 86_400


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "certificates"
    folder.mkdir()
    return folder


def make(root, domain, days):
    """Make a certificate that starts now and lasts so many days; return when it ends."""
    folder = root / domain
    folder.mkdir()
    chain = folder / "fullchain.pem"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    names = ["-nodes", "-subj", f"/CN={domain}", "-days", str(days)]
    files = ["-keyout", str(folder / "privkey.pem"), "-out", str(chain)]
    subprocess.run([*request, *names, *files], check=True, capture_output=True)
    shown = ["openssl", "x509", "-noout", "-enddate", "-in", str(chain)]
    done = subprocess.run(shown, check=True, capture_output=True, text=True)
    return ssl.cert_time_to_seconds(done.stdout.strip().partition("=")[2])


def test_the_metric_has_a_line_for_each_domain(root, tmp_path, capsys):
    ends = {domain: make(root, domain, 90) for domain in ("a.example.com", "b.example.com")}
    metrics = tmp_path / "metrics" / "certificates.prom"
    arguments = ["certificates", "--root", str(root), "--metrics", str(metrics)]
    assert _host_command.main(arguments) == 0
    lines = [line for line in metrics.read_text().splitlines() if not line.startswith("#")]
    assert lines == [
        f'modelops_certificate_expiry_timestamp_seconds{{domain="{domain}"}} {end}'
        for domain, end in ends.items()
    ]
    assert metrics.stat().st_mode & 0o777 == 0o644
    assert "2 certificates were read, 0 end soon" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("lifetime", "left", "lasts"),
    [
        (90, 15, True),
        (90, 13, False),
        # A quarter of its lifetime is less than 14 days
        (6, 3, True),
        (6, 1, False),
        (90, -1, False),
    ],
)
def test_it_lasts_as_long_as_a_renewal_is_not_overdue(root, tmp_path, lifetime, left, lasts):
    end = make(root, "a.example.com", lifetime)
    moment = end - left * DAY
    assert command.check_expiry(str(root), str(tmp_path / "m.prom"), 14, now=moment) is lasts


def test_what_ends_and_what_cannot_be_read_is_sent(root, tmp_path, monkeypatch, capsys):
    sent = []
    monkeypatch.setattr(command, "send", lambda *given, **details: sent.append((given, details)))
    make(root, "a.example.com", 90)
    make(root, "b.example.com", 10)
    (root / "c.example.com").mkdir()
    (root / "notes").write_text("no certificate")
    metrics, hook = tmp_path / "m.prom", tmp_path / "hook"
    hook.write_text("https://alerts.example.com/x\n")
    arguments = ["certificates", "--root", str(root), "--metrics", str(metrics)]
    arguments += ["--days", "400", "--webhook-file", str(hook)]
    assert _host_command.main(arguments) == 3
    ((given, details),) = sent
    assert given == ("https://alerts.example.com/x", "certificate_ends")
    assert [row["domain"] for row in details["certificates"]] == ["c.example.com"]
    assert details["certificates"][0]["ends"] == ""
    assert "cannot be read from" in details["certificates"][0]["problem"]
    assert "c.example.com" not in metrics.read_text()
    assert "The certificate of c.example.com cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(("status", "code"), [(0, 0), (7, 3)])
def test_a_renewal_comes_before_and_its_failure_shows(root, tmp_path, capsys, status, code):
    make(root, "a.example.com", 90)
    seen, metrics = tmp_path / "seen", tmp_path / "m.prom"
    script = f'test ! -e {metrics} && echo "$1" > {seen} && exit {status}'
    arguments = ["certificates", "--root", str(root), "--metrics", str(metrics)]
    assert _host_command.main([*arguments, "--", "sh", "-c", script, "sh", "--quiet"]) == code
    assert seen.read_text() == "--quiet\n"
    assert "a.example.com" in metrics.read_text()
    assert ("ended with status 7" in capsys.readouterr().err) == bool(code)


def test_a_missing_folder_is_no_good_news(tmp_path):
    arguments = ["certificates", "--root", str(tmp_path / "none"), "--metrics", str(tmp_path / "m")]
    assert _host_command.main(arguments) == 1
