# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The demo's client: one HTTPS request through the proxy, with the certificate verified."""

from __future__ import annotations

import http.client
import json
import math
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from .report import Failure

PATH = "/v1/embeddings"
TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Service:
    """Where the service is, by its public name and by the address that this name stands for."""

    domain: str
    address: str
    ca: Path
    api_key: str

    @property
    def url(self) -> str:
        """Return the address of the embeddings endpoint."""
        return f"https://{self.domain}{PATH}"

    def curl(self, body: str) -> str:
        """Return the command line that sends the same request."""
        return (
            f"curl --cacert {self.ca} --resolve {self.domain}:443:{self.address} {self.url} \\\n"
            f"  -H 'Authorization: Bearer {self.api_key}' -H 'Content-Type: application/json' \\\n"
            f"  -d '{body}'"
        )


class _Connection(http.client.HTTPSConnection):
    """A connection to a fixed address that still verifies the name."""

    def __init__(self, service: Service) -> None:
        self.trust = ssl.create_default_context(cafile=str(service.ca))
        super().__init__(service.domain, context=self.trust, timeout=TIMEOUT_SECONDS)
        self.address = service.address

    def connect(self) -> None:
        plain = socket.create_connection((self.address, self.port), self.timeout)
        self.sock = self.trust.wrap_socket(plain, server_hostname=self.host)


def embed(service: Service, body: str) -> tuple[list[list[float]], float]:
    """Send a request; return the vectors and the seconds that it took.

    Raises ``Failure`` if the connection is not trusted or the answer is not 200.
    """
    headers = {"Authorization": f"Bearer {service.api_key}", "Content-Type": "application/json"}
    connection = _Connection(service)
    begun = time.monotonic()
    try:
        connection.request("POST", PATH, body, headers)
        response = connection.getresponse()
        text = response.read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"{service.url} at {service.address}: {error}") from error
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise Failure(f"{service.url} answered {response.status}: {text}")
    seconds = time.monotonic() - begun
    return [entry["embedding"] for entry in json.loads(text)["data"]], seconds


def cosine(left: list[float], right: list[float]) -> float:
    """Return the cosine of the angle between two vectors."""
    product = math.fsum(a * b for a, b in zip(left, right))
    return product / math.sqrt(math.fsum(a * a for a in left) * math.fsum(b * b for b in right))
