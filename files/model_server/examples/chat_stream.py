# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Print the answer of a chat as it is made."""

from __future__ import annotations

from arguments import run

from model_server.client import Client

QUESTION = "Name three colours of the rainbow."


def main(url: str, key: str | None, ca: str | None) -> None:
    """Print the answer piece by piece, then why it ended and what it cost."""
    with (
        Client(url, api_key=key, ca=ca) as client,
        client.chat_stream(QUESTION, max_tokens=64, temperature=0) as stream,
    ):
        print(f"question: {QUESTION}")
        print("answer: ", end="")
        for text in stream:
            print(text, end="", flush=True)
        print()
        tokens = stream.usage.completion_tokens if stream.usage else "an unknown number of"
        print(f"ended by {stream.finish_reason} after {tokens} tokens")


if __name__ == "__main__":
    run(main, __doc__)
