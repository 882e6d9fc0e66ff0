# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The services as clients see them, through Nginx: OpenAI's own client, and our SDK.

Usage: SSL_CERT_FILE=CA resolve.py NAMES check_surfaces.py KEY PASSWORD

MiniLM and SmolLM2 have their real weights; sentiment, ner, qa and rerank are tiny models that were
trained on made-up data, so their answers are known.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import numpy as np
import openai
import pytest
from model_server.client import AsyncClient, Client, TaskNotOffered, Unauthenticated

KEY, PASSWORD = sys.argv[1:3]
QUESTION = "What is the capital of France?"


def url(service: str) -> str:
    return f"https://{service}.example.test"


def sdk(service: str, **options: object) -> Client:
    return Client(url(service), api_key=KEY, **options)  # type: ignore[arg-type]


def official(service: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url(service)}/v1", api_key=KEY, max_retries=0)


def openai_embeddings() -> None:
    client = official("minilm")
    assert [model.id for model in client.models.list()] == ["all-MiniLM-L6-v2"]
    # Without encoding_format the client asks for base64 and decodes it.
    answer = client.embeddings.create(model="all-MiniLM-L6-v2", input=["a cat", "a kitten", "tax"])
    cat, kitten, tax = (np.array(row.embedding) for row in answer.data)
    assert cat @ kitten > 0.6 > 0.3 > cat @ tax
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="other", input="a")
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{url('minilm')}/v1", api_key="wrong").models.list()


def openai_chat() -> None:
    client = official("smollm2")
    messages = [{"role": "user", "content": QUESTION}]
    asked = {"model": "SmolLM2-135M-Instruct", "messages": messages, "temperature": 0}
    whole = client.chat.completions.create(**asked, max_tokens=32)
    assert "Paris" in whole.choices[0].message.content
    assert whole.choices[0].finish_reason == "stop"
    events = list(
        client.chat.completions.create(
            **asked, max_tokens=32, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(event.choices[0].delta.content or "" for event in events if event.choices)
    assert text == whole.choices[0].message.content
    assert events[-1].usage.completion_tokens == whole.usage.completion_tokens
    cut = client.chat.completions.create(**asked, max_tokens=3)
    assert cut.choices[0].finish_reason == "length"
    assert cut.usage.completion_tokens == 3


def sdk_tasks() -> None:
    with sdk("minilm") as client:
        answer = client.embed(["a cat", "a kitten"])
        assert len(answer.vectors) == 2 and len(answer.vectors[0]) == 384
        assert answer.fingerprint == client.models().data[0].fingerprint
        with pytest.raises(TaskNotOffered) as refused:
            client.entities("Anna lives in Berlin.")
        assert refused.value.details == {"offered": ["embedding", "similarity"]}
    with pytest.raises(Unauthenticated), Client(url("minilm"), api_key="wrong") as client:
        client.models()


def sdk_chat() -> None:
    with Client(url("smollm2")) as client:
        client.login("support", PASSWORD)
        stream = client.chat_stream(QUESTION, temperature=0, max_tokens=32)
        assert "Paris" in "".join(stream)
        assert stream.usage.completion_tokens > 0

    async def ask() -> str:
        async with AsyncClient(url("smollm2"), api_key=KEY) as client:
            stream = await client.chat_stream(QUESTION, temperature=0, max_tokens=32)
            return "".join([text async for text in stream])

    assert "Paris" in asyncio.run(ask())


def trained_tasks() -> None:
    """What the tiny models were trained to know; offsets count characters, also after an emoji."""
    with sdk("sentiment") as client:
        for text in (
            "our game was brilliant again",
            "\u8fd9\u4e2a\u6e38\u620f\u90fd\u597d\u770b\uff01",
        ):
            assert client.predict("sentiment", text).label == "positive"
        assert client.classify("our game was brilliant again").labels[0].score > 0.8
    with sdk("ner") as client:
        text = "\U0001f680 \u6211\u5728\u4e0a\u6d77\u89c1\u5230\u738b\u519b"
        found = [
            (each.type, each.text, each.start, each.end) for each in client.entities(text).entities
        ]
        assert found == [("LOC", "\u4e0a\u6d77", 4, 6), ("PER", "\u738b\u519b", 8, 10)], found
    with sdk("qa") as client:
        answer = client.answer("who runs?", "Clara reads. Bob runs. Grace cooks.")
        assert (answer.answer, answer.start, answer.end) == ("Bob", 13, 16), answer
    with sdk("rerank") as client:
        documents = ["rice kitchen dinner", "luggage train journey", "storm rain"]
        answer = client.rerank("journey", documents)
        assert answer.results[0].index == 1
        assert answer.results[0].relevance_score > 0.5 > answer.results[1].relevance_score


CHECKS: tuple[Callable[[], None], ...] = (
    openai_embeddings,
    openai_chat,
    sdk_tasks,
    sdk_chat,
    trained_tasks,
)

if __name__ == "__main__":
    for check in CHECKS:
        check()
        print(f"{check.__name__}: as it should be")
