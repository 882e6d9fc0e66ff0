# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Find names in a text; a service whose model cannot is told apart from a failure."""

from __future__ import annotations

from arguments import run

from model_server.client import Client, TaskNotOffered

TEXT = "Ada Lovelace met Charles Babbage in London."


def main(url: str, key: str | None, ca: str | None) -> None:
    """Print every entity with its place in the text."""
    with Client(url, api_key=key, ca=ca) as client:
        try:
            found = client.entities(TEXT)
        except TaskNotOffered as error:
            offered = (error.details or {}).get("offered", [])
            print(f"not offered: {error.message} Offered: {', '.join(offered)}")
            return
    print(f"{len(found.entities)} entities in: {TEXT}")
    for entity in found.entities:
        print(
            f"  {entity.start:>3}-{entity.end:<3} {entity.type:<5} {entity.score:.3f} {entity.text}"
        )


if __name__ == "__main__":
    run(main, __doc__)
