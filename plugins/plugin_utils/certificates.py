# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate and its key as files on the controller, checked before a host sees them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from ipaddress import ip_address
from typing import Any

from ansible_collections.modelops.serving.plugins.module_utils._fields import Problem
from ansible_collections.modelops.serving.plugins.module_utils._host_names import reached_by

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_private_key,
    )
except ImportError:  # ansible-core brings it, but for the sanity tests
    pass


def certificate_problems(service: Mapping[str, Any], fullchain: str, privkey: str) -> list[str]:
    """Return what is wrong with the texts of a complete service's certificate and key.

    No line holds a part of the key.
    """
    where = f"model_services.{service['name']}.certificate"
    declared = service["certificate"]

    def problem(key: str, remedy: str) -> str:
        return str(Problem(f"{where}.{key}", declared[key], remedy))

    certificate, key, problems = None, None, []
    try:
        certificate = x509.load_pem_x509_certificates(fullchain.encode())[0]
    except ValueError:
        problems.append(problem("fullchain", "it is no certificate in PEM form; give one"))
    try:
        key = load_pem_private_key(privkey.encode(), None)
    except TypeError:
        remedy = "the key asks for a password, which nginx could not give; take it off"
        problems.append(problem("privkey", remedy))
    except ValueError:
        problems.append(problem("privkey", "it is no key in PEM form; give one"))
    if certificate is None:
        return problems
    if key is not None and _public(key.public_key()) != _public(certificate.public_key()):
        remedy = "the key is not that of the certificate; give the pair"
        problems.append(problem("privkey", remedy))
    begin, end = _validity(certificate)
    if not begin <= datetime.now(timezone.utc) <= end:
        remedy = f"it is in force from {begin:%Y-%m-%d} to {end:%Y-%m-%d}, not now; renew it"
        problems.append(problem("fullchain", remedy))
    wanted = (name for _key, name in reached_by(service))
    missing = [name for name in wanted if not _covers(certificate, name)]
    if missing:
        held = ", ".join(_held(certificate)) or "no name"
        remedy = f"it is for {held}; get one for {', '.join(missing)}"
        problems.append(problem("fullchain", remedy))
    return problems


def _covers(certificate: Any, name: str) -> bool:
    held = _held(certificate)
    try:
        return str(ip_address(name)) in held
    except ValueError:
        return name in held or f"*.{name.partition('.')[2]}" in held


def _held(certificate: Any) -> list[str]:
    """Return the DNS names, in lower case, and the addresses that a certificate is for."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    names = extension.value.get_values_for_type(x509.DNSName)
    addresses = extension.value.get_values_for_type(x509.IPAddress)
    return [name.lower() for name in names] + [str(address) for address in addresses]


def _validity(certificate: Any) -> tuple[datetime, datetime]:
    if hasattr(certificate, "not_valid_after_utc"):
        return certificate.not_valid_before_utc, certificate.not_valid_after_utc
    # cryptography before 42 tells UTC without saying so.
    begin, end = certificate.not_valid_before, certificate.not_valid_after
    return begin.replace(tzinfo=timezone.utc), end.replace(tzinfo=timezone.utc)


def _public(key: Any) -> bytes:
    return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
