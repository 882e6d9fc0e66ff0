# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold before an authority is asked: addresses, port 80 and CAA."""

from __future__ import annotations

import socket

import pytest
from ansible_collections.modelops.serving.plugins.module_utils import (
    _acme_preconditions as preconditions,
)

NAME = "gte.example.com"


@pytest.fixture
def resolver(monkeypatch):
    """Stand-in for the resolver: a list of addresses, none for a name that is not there."""
    addresses = ["192.0.2.7"]

    def getaddrinfo(_name, port):
        if not addresses:
            raise socket.gaierror(-2, "Name or service not known")
        return [(socket.AF_INET, 1, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return addresses


def test_a_name_that_leads_here_is_right(resolver):
    assert preconditions.wrong_address(NAME, ["192.0.2.7", "2001:db8::7"]) == ""
    resolver.append("2001:DB8:0::7")
    assert preconditions.wrong_address(NAME, ["192.0.2.7", "2001:db8::7"]) == ""


def test_one_address_of_another_host_is_enough_to_refuse(resolver):
    resolver.append("198.51.100.1")
    problem = preconditions.wrong_address(NAME, ["192.0.2.7"])
    assert f"{NAME} leads to 198.51.100.1" in problem and "certificate_public_addresses" in problem


def test_a_name_without_address_is_refused(resolver):
    resolver.clear()
    problem = preconditions.wrong_address(NAME, ["192.0.2.7"])
    assert f"{NAME} has no address" in problem and "add an A or AAAA record" in problem


class Answer:
    """Stand-in for what port 80 answers."""

    def __init__(self, body):
        self._body = body

    def open(self, url, timeout):
        assert timeout and url == f"http://{NAME}/.well-known/acme-challenge/token"
        if isinstance(self._body, Exception):
            raise self._body
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_failure):
        return None

    def read(self, most):
        return self._body[:most]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"random", ""),
        (b"random and more", "answers something else"),
        (b"", "answers something else"),
        (ConnectionRefusedError("refused"), "does not answer (refused)"),
    ],
)
def test_port_80_must_answer_what_was_put_there(monkeypatch, body, says):
    monkeypatch.setattr(preconditions.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(preconditions, "build_opener", lambda _proxy: Answer(body))
    problem = preconditions.wrong_answer(NAME, "token", "random")
    assert says in problem if says else problem == ""


def record(value, tag="issue", critical=False):
    return {"critical": critical, "tag": tag, "value": value}


def found(*records, failure=""):
    return {"owner": "example.com" if records else "", "records": records, "failure": failure}


@pytest.mark.parametrize(
    "records",
    [
        [],
        [record("letsencrypt.org")],
        [record("LetsEncrypt.org ; validationmethods=dns-01,http-01")],
        [record("other.example"), record("letsencrypt.org")],
        [record("mailto:a@example.com", tag="iodef")],
        # Wildcards are another matter
        [record(";", tag="issuewild")],
        [record("something", tag="tomorrow")],
    ],
)
def test_caa_admits_the_authority(records):
    assert preconditions.forbidden_by_caa(NAME, found(*records), ["letsencrypt.org"]) == ""


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (found(record(";")), "admit ';'"),
        (found(record("other.example")), "the authority is 'letsencrypt.org'"),
        (found(record("letsencrypt.org; validationmethods=dns-01")), "add a record"),
        (found(record("x", tag="tomorrow", critical=True)), "the critical tag 'tomorrow'"),
        ({"owner": "com", "records": [], "failure": "SERVFAIL"}, "cannot be read (SERVFAIL)"),
    ],
)
def test_caa_forbids_the_authority(answer, says):
    problem = preconditions.forbidden_by_caa(NAME, answer, ["letsencrypt.org"])
    assert says in problem


def test_an_authority_without_a_name_is_named_by_the_operator():
    problem = preconditions.forbidden_by_caa(NAME, found(record("ca.example")), [])
    assert "the authority is not known" in problem and "certificate_caa_identities" in problem
