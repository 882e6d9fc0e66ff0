# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The same chat with OpenAI's own client (`pip install openai`), whole and as a stream."""

from __future__ import annotations

import ssl

import openai
from arguments import run
from openai.types.chat import ChatCompletionUserMessageParam

QUESTION = "Name three colours of the rainbow."


def main(url: str, key: str | None, ca: str | None) -> None:
    """Print the served model and two answers."""
    context = ssl.create_default_context(cafile=ca)
    with openai.OpenAI(
        base_url=f"{url.rstrip('/')}/v1",
        api_key=key or "none",
        http_client=openai.DefaultHttpxClient(verify=context),
    ) as client:
        model = client.models.list().data[0].id
        print(f"model: {model}")
        asked: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": QUESTION}]
        whole = client.chat.completions.create(
            model=model, messages=asked, max_tokens=64, temperature=0
        )
        print(f"answer: {whole.choices[0].message.content}")
        print(f"ended by {whole.choices[0].finish_reason}")

        print("stream: ", end="")
        stream = client.chat.completions.create(
            model=model, messages=asked, max_tokens=64, temperature=0, stream=True
        )
        for chunk in stream:
            if chunk.choices:
                print(chunk.choices[0].delta.content or "", end="", flush=True)
        print()


if __name__ == "__main__":
    run(main, __doc__)
