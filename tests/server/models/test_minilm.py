# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The served vectors are those of sentence-transformers on the same weights.

The goldens are computed here, by the library itself. The server runs in a process of its own.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gunicorn_process import Gunicorn
from support import settings_content
from texts import COUNT, LONG, texts

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

pytestmark = pytest.mark.models

TEXTS = texts()
LIMIT = 256
CLOSE = 0.99999
Vectors = np.ndarray[Any, np.dtype[np.float32]]


@pytest.fixture(scope="module")
def reference(minilm: Path) -> SentenceTransformer:
    # Imported here: the fast tests collect this file in an environment without torch.
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(minilm), device="cpu", local_files_only=True)


@pytest.fixture(scope="module")
def goldens(reference: SentenceTransformer) -> Vectors:
    return np.stack([reference.encode(text) for text in TEXTS])


@pytest.fixture(scope="module")
def server(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    content = settings_content(
        minilm,
        engine={"max_tokens": LIMIT},
        batching={"max_batch_tokens": 4096, "max_queue_tokens": 65536},
        limits={"body_bytes": 2**20, "inputs_per_request": COUNT, "request_timeout_seconds": 120},
    )
    gunicorn = Gunicorn(tmp_path_factory.mktemp("minilm"), "model_server.wsgi:app", content)
    gunicorn.wait_ready()
    yield gunicorn
    gunicorn.close()


def embed(server: Gunicorn, batch: list[str]) -> tuple[Vectors, dict[str, str], Any]:
    body = {"model": "all-MiniLM-L6-v2", "input": batch, "encoding_format": "base64"}
    status, headers, answer = server.request("POST", "/v1/embeddings", body)
    assert status == 200, answer
    rows = [base64.b64decode(row["embedding"]) for row in answer["data"]]
    return np.stack([np.frombuffer(row, dtype="<f4") for row in rows]), headers, answer


def assert_close(vectors: Vectors, goldens: Vectors) -> None:
    cosines = (vectors * goldens).sum(axis=1)
    cosines /= np.linalg.norm(vectors, axis=1) * np.linalg.norm(goldens, axis=1)
    assert cosines.min() >= CLOSE
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_the_texts_are_what_they_claim(reference: SentenceTransformer) -> None:
    lengths = [len(reference.tokenizer.tokenize(text)) for text in TEXTS]
    assert len(TEXTS) == len(set(TEXTS)) == COUNT
    assert min(lengths) == 1
    assert max(lengths) >= 600
    assert sum(length > LIMIT for length in lengths) >= LONG
    assert any("\u4e16" in text for text in TEXTS)
    assert any("\U0001f680" in text for text in TEXTS)


def test_the_limit_is_that_of_the_library(reference: SentenceTransformer) -> None:
    assert reference.max_seq_length == LIMIT


def test_each_text_alone(server: Gunicorn, goldens: Vectors) -> None:
    assert_close(np.concatenate([embed(server, [text])[0] for text in TEXTS]), goldens)


def test_all_texts_in_one_request(
    server: Gunicorn, goldens: Vectors, reference: SentenceTransformer
) -> None:
    vectors, headers, answer = embed(server, TEXTS)
    assert_close(vectors, goldens)
    lengths = [len(reference.tokenizer(text)["input_ids"]) for text in TEXTS]
    beyond = sum(len(reference.tokenizer.tokenize(text)) + 2 > LIMIT for text in TEXTS)
    assert answer["usage"]["prompt_tokens"] == sum(min(length, LIMIT) for length in lengths)
    assert headers["X-Truncated-Inputs"] == str(beyond)


def test_mixed_batches_of_requests_at_once(server: Gunicorn, goldens: Vectors) -> None:
    order = list(range(COUNT))
    random.Random(1).shuffle(order)
    groups = [order[start : start + 7] for start in range(0, COUNT, 7)]
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda group: embed(server, [TEXTS[i] for i in group])[0], groups)
        for group, vectors in zip(groups, answers, strict=True):
            assert_close(vectors, goldens[group])


def test_predict_gives_the_same_vector(server: Gunicorn, goldens: Vectors) -> None:
    body = {"task_type": "embedding", "input_text": TEXTS[-1]}
    status, _headers, answer = server.request("POST", "/predict", body)
    assert status == 200
    assert answer["result"]["truncated"] is True
    assert_close(np.array([answer["result"]["embedding"]], dtype=np.float32), goldens[-1:])


def test_a_text_of_the_greatest_length_is_cut_and_answered(server: Gunicorn) -> None:
    _vectors, headers, answer = embed(server, ["word " * 26_000])
    assert answer["usage"]["prompt_tokens"] == LIMIT
    assert headers["X-Truncated-Inputs"] == "1"
