# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Embed texts, keep their vector space, and find the one nearest to a question."""

from __future__ import annotations

import math

from arguments import run

from model_server.client import Client

TEXTS = [
    "A man is playing the guitar.",
    "The invoice is due at the end of the month.",
    "Someone makes music on a stringed instrument.",
]
QUESTION = "Who plays an instrument?"


def main(url: str, key: str | None, ca: str | None) -> None:
    """Print the texts, the nearest first, and the cosine of two of them."""
    with Client(url, api_key=key, ca=ca) as client:
        index = client.embed(TEXTS)
        print(f"{len(index.vectors)} vectors of {index.dimensions} numbers by {index.model}")
        print(f"vector space: {index.fingerprint or 'not named by this service'}")

        # Refused with VectorSpaceChanged if the model was exchanged meanwhile.
        asked = client.embed(QUESTION, expect_fingerprint=index.fingerprint)
        scores = [cosine(asked.vectors[0], vector) for vector in index.vectors]
        print(f"nearest to: {QUESTION}")
        for score, text in sorted(zip(scores, TEXTS, strict=True), reverse=True):
            print(f"  {score:+.4f}  {text}")

        pair = client.similarity(TEXTS[0], TEXTS[2])
        print(f"similarity by the service: {pair.similarity:+.4f}")


def cosine(left: list[float], right: list[float]) -> float:
    """Cosine of two vectors."""
    return dot(left, right) / math.sqrt(dot(left, left) * dot(right, right))


def dot(left: list[float], right: list[float]) -> float:
    """Sum of the products."""
    return sum(a * b for a, b in zip(left, right, strict=True))


if __name__ == "__main__":
    run(main, __doc__)
