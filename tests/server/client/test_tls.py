# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""A certificate of an authority of one's own: trusted when named, else refused at once."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from werkzeug.serving import make_server

from model_server.client import APIConnectionError, Client
from support import KEY, Service


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate for 127.0.0.1; it is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "ca.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


@pytest.fixture
def served(service: Service, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The service over TLS: its address, and its authority."""
    certificate, key = write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = make_server("127.0.0.1", 0, service.app, threaded=True, ssl_context=context)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}", certificate
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_named_authority_is_trusted(served: tuple[str, Path]) -> None:
    url, ca = served
    with Client(url, ca=ca, api_key=KEY) as client:
        assert client.embed("a").dimensions == 8


def test_an_unknown_authority_is_refused_at_once(served: tuple[str, Path]) -> None:
    url, _folder = served
    with Client(url, api_key=KEY) as client:
        slept: list[float] = []
        client._sleep = slept.append  # type: ignore[assignment]
        with pytest.raises(APIConnectionError, match="certificate verify failed"):
            client.embed("a")
        assert slept == []


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        Client("https://service.test", ca="/nowhere/ca.pem")
