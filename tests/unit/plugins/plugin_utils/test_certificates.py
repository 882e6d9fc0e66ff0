# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate and its key are refused for what nginx or clients would refuse them for."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from ipaddress import ip_address

import pytest
from ansible_collections.modelops.serving.plugins.plugin_utils.certificates import (
    certificate_problems,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tiny")])
KEY = ec.generate_private_key(ec.SECP256R1())
DAY = timedelta(days=1)


def pem(key, password=b""):
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def certificate(*names, begin=-DAY, end=DAY):
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder(NAME, NAME, KEY.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now + begin).not_valid_after(now + end)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def dns(name):
    return x509.DNSName(name)


def problems(fullchain, privkey, **others):
    files = {"fullchain": "tiny.pem", "privkey": "tiny.key"}
    names = {"domain": "tiny.example.com", "aliases": [], "addresses": []}
    service = {"name": "tiny", "certificate": files, **names, **others}
    return certificate_problems(service, fullchain, privkey)


@pytest.mark.parametrize("name", ["tiny.example.com", "*.example.com"])
def test_a_pair_that_covers_the_domain_passes(name):
    assert problems(certificate(dns(name)), pem(KEY)) == []


def test_further_names_and_addresses_are_covered_too():
    names = [dns("tiny.example.com"), dns("*.example.org"), x509.IPAddress(ip_address("::1"))]
    wanted = {"aliases": ["t.example.org"], "addresses": ["0:0::1"]}
    assert problems(certificate(*names), pem(KEY), **wanted) == []


@pytest.mark.parametrize(
    ("fullchain", "privkey", "key", "remedy"),
    [
        (
            certificate(dns("tiny.example.com")),
            pem(ec.generate_private_key(ec.SECP256R1())),
            "privkey is 'tiny.key'",
            "the key is not that of the certificate; give the pair",
        ),
        (
            certificate(dns("tiny.example.com"), begin=-2 * DAY, end=-DAY),
            pem(KEY),
            "fullchain is 'tiny.pem'",
            "not now; renew it",
        ),
        (
            certificate(dns("tiny.example.com"), begin=DAY, end=2 * DAY),
            pem(KEY),
            "fullchain is 'tiny.pem'",
            "not now; renew it",
        ),
        (
            certificate(dns("other.example.com"), dns("*.tiny.example.com")),
            pem(KEY),
            "fullchain is 'tiny.pem'",
            "it is for other.example.com, *.tiny.example.com; get one for tiny.example.com",
        ),
        (certificate(), pem(KEY), "fullchain is", "it is for no name; get one for tiny"),
        ("nothing", pem(KEY), "fullchain is 'tiny.pem'", "it is no certificate in PEM form"),
        (certificate(dns("*.example.com")), "nothing", "privkey is", "it is no key in PEM form"),
        (certificate(dns("*.example.com")), pem(KEY, b"x"), "privkey is", "asks for a password"),
    ],
)
def test_what_is_wrong_is_named_with_variable_and_remedy(fullchain, privkey, key, remedy):
    (problem,) = problems(fullchain, privkey)
    assert problem.startswith(f"model_services.tiny.certificate.{key}") and remedy in problem
