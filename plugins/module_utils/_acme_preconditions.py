# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold before an ACME authority is asked, found out as the authority will.

Each function returns what is wrong, in one line with its remedy, or nothing.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

CHALLENGE_PATH = "/.well-known/acme-challenge/"
TIMEOUT_SECONDS = 10
TRIES = 3

# The tags whose meaning is known; a critical one beside them forbids everything (RFC 8659).
_KNOWN_TAGS = ("issue", "issuewild", "iodef", "issuemail", "issuevmc", "contactemail")


def wrong_address(name: str, expected: Sequence[str]) -> str:
    """Say which address ``name``, or the address itself, leads to beside the ``expected`` ones."""
    try:
        found = {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(name, 80)}
    except OSError as error:
        return (
            f"{name} has no address, says the resolver of {_here()} ({error}): "
            "add an A or AAAA record that leads to this host"
        )
    known = {ipaddress.ip_address(address) for address in expected}
    strange = sorted(address for address in found if ipaddress.ip_address(address) not in known)
    if not strange:
        return ""
    return (
        f"{name} leads to {', '.join(strange)}, says the resolver of {_here()}, and this host has "
        f"{', '.join(expected) or 'no address'}: correct the record, or name the address in "
        "certificate_public_addresses if it is forwarded to this host"
    )


def wrong_answer(name: str, token: str, content: str) -> str:
    """Say why port 80 of ``name`` does not answer a challenge; ``content`` is what it should say.

    A web server may have been reloaded this moment, so it is asked several times.
    """
    host = f"[{name}]" if ":" in name else name
    url = f"http://{host}{CHALLENGE_PATH}{token}"
    reason = ""
    for attempt in range(TRIES):
        time.sleep(attempt)
        reason = _reason(url, content)
        if not reason:
            return ""
    return (
        f"{url}, asked by {_here()}, {reason}: let port 80 of {name} reach this host's web server, "
        "which answers from certificate_webroot"
    )


def forbidden_by_caa(name: str, found: Mapping[str, Any], identities: Sequence[str]) -> str:
    """Say why the CAA records that were ``found`` for ``name`` keep the authority from issuing.

    ``identities`` are what the authority calls itself in such records.
    """
    owner, records = found["owner"], found["records"]
    if found["failure"]:
        return (
            f"the CAA records of {owner} cannot be read ({found['failure']}), and an authority "
            "refuses then, too: repair the name servers, or name others in certificate_resolvers"
        )
    unknown = [row["tag"] for row in records if row["critical"] and row["tag"] not in _KNOWN_TAGS]
    if unknown:
        return (
            f"the CAA records of {owner} have the critical tag '{unknown[0]}', which nobody may "
            f"pass over: remove it, or take a certificate for {name} from elsewhere"
        )
    issuers = [row["value"] for row in records if row["tag"] == "issue"]
    if not issuers or any(_admits(value, identities) for value in issuers):
        return ""
    return (
        f"the CAA records of {owner} admit {' and '.join(map(repr, issuers))}, and the authority "
        f"is {' or '.join(map(repr, identities)) or 'not known'}: add a record for it, or name "
        "what it calls itself in certificate_caa_identities"
    )


def _admits(value: str, identities: Sequence[str]) -> bool:
    """Say whether an issue record lets one of ``identities`` use HTTP-01 (RFC 8657)."""
    issuer, *parameters = (part.strip() for part in value.split(";"))
    if issuer.lower() not in [identity.lower() for identity in identities]:
        return False
    for parameter in parameters:
        key, _separator, setting = parameter.partition("=")
        if key.strip().lower() == "validationmethods":
            return "http-01" in [method.strip() for method in setting.split(",")]
    return True


def _reason(url: str, content: str) -> str:
    try:
        # No proxy: the authority comes directly, too.
        with build_opener(ProxyHandler({})).open(url, timeout=TIMEOUT_SECONDS) as answer:
            said = answer.read(len(content) + 1).decode("utf-8", "replace")
    except HTTPError as error:
        error.close()
        return f"answers HTTP {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        return f"does not answer ({error})"
    return "" if said == content else "answers something else than the file that was put there"


def _here() -> str:
    return socket.gethostname()
