# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The server as it runs: gunicorn, threads, signals, a Unix socket."""

from __future__ import annotations

import signal
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from gunicorn_process import Gunicorn, Start, UnixConnection, openai_client
from support import AUTHORIZED

pytestmark = pytest.mark.live


def test_the_socket_is_for_user_and_group_only(server: Gunicorn) -> None:
    mode = server.socket.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660


def test_nothing_is_written_into_the_home_folder(server: Gunicorn) -> None:
    assert list(server.home.iterdir()) == []


def test_every_line_of_the_log_is_json(server: Gunicorn) -> None:
    headers = server.embed("hello")[1]
    lines = server.lines()
    assert {line["level"] for line in lines} <= {"info", "warning", "error", "critical"}
    requests = [line for line in lines if line["event"] == "request"]
    assert requests[-1]["request_id"] == headers["X-Request-ID"]
    assert any(line["event"] == "model_ready" for line in lines)


def chunks(size: int, count: int) -> Iterator[bytes]:
    yield from [b" " * size] * count


def test_a_chunked_body_counts_against_the_limit(server: Gunicorn) -> None:
    status, _headers, body = server.request("POST", "/v1/embeddings", chunks(1024, 64))
    assert (status, body["error"]["code"]) == (413, "too_large")


def test_a_chunked_body_that_ends_in_blanks_is_not_cut_short(server: Gunicorn) -> None:
    whole = b'{"model": "all-MiniLM-L6-v2", "input": "a"}'
    for blanks, expected in ((4096 - len(whole), 200), (4097 - len(whole), 413)):
        status = server.request("POST", "/v1/embeddings", iter([whole, b" " * blanks]))[0]
        assert status == expected


def test_a_chunked_body_within_the_limit_is_read(server: Gunicorn) -> None:
    parts = iter([b'{"model": "all-MiniLM-L6-v2",', b' "input": "a b"}'])
    status, _headers, body = server.request("POST", "/v1/embeddings", parts)
    assert status == 200
    assert body["usage"]["prompt_tokens"] == 4


def test_a_client_that_leaves_does_no_harm(server: Gunicorn) -> None:
    connection = UnixConnection(server.socket)
    connection.putrequest("POST", "/v1/embeddings")
    connection.putheader("Authorization", AUTHORIZED["Authorization"])
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b'{"model"')
    connection.close()
    assert server.embed("a")[0] == 200


def test_requests_at_once_share_batches_and_keep_their_own_rows(server: Gunicorn) -> None:
    texts = [f"text number {index}" for index in range(40)]
    with ThreadPoolExecutor(16) as pool:
        slow = pool.submit(server.embed, "slow")
        answers = list(pool.map(server.embed, texts))
    assert slow.result()[0] == 200
    for text, (status, _headers, body) in zip(texts, answers, strict=True):
        assert status == 200
        alone = server.embed(text)[2]["data"][0]["embedding"]
        assert body["data"][0]["embedding"] == pytest.approx(alone, abs=1e-6)
    sizes = [line["batch_items"] for line in server.lines() if "batch_items" in line]
    assert max(sizes) > 1


def test_probes_answer_while_the_engine_is_busy(server: Gunicorn) -> None:
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(server.embed, "slow")
        time.sleep(0.2)
        started = time.monotonic()
        assert server.request("GET", "/health")[0] == 200
        assert server.request("GET", "/ready")[0] == 200
        assert time.monotonic() - started < 0.7
        assert slow.result()[0] == 200


def test_the_openai_client_works_unchanged(server: Gunicorn) -> None:
    client = openai_client(server)
    answer = client.embeddings.create(model="all-MiniLM-L6-v2", input=["a b", "c"])
    floats = client.embeddings.create(
        model="all-MiniLM-L6-v2", input=["a b", "c"], encoding_format="float"
    )
    for base64_row, float_row in zip(answer.data, floats.data, strict=True):
        assert base64_row.embedding == pytest.approx(float_row.embedding, abs=1e-6)
    assert [model.id for model in client.models.list()] == ["all-MiniLM-L6-v2"]
    assert client.models.retrieve("all-MiniLM-L6-v2").owned_by == "package"
    with pytest.raises(openai.NotFoundError) as caught:
        client.embeddings.create(model="other", input="a")
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError):
        openai_client(server, key="wrong").models.list()
    with pytest.raises(openai.UnprocessableEntityError):
        client.embeddings.create(model="all-MiniLM-L6-v2", input=[1, 2, 3])


def test_a_stop_answers_what_was_begun(start: Start) -> None:
    server = start()
    server.wait_ready()
    with ThreadPoolExecutor(4) as pool:
        begun = [pool.submit(server.embed, "slow") for _turn in range(4)]
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        assert [answer.result()[0] for answer in begun] == [200] * 4
    assert server.process.wait(timeout=30) == 0
    assert not server.socket.exists()


def test_a_worker_whose_batcher_died_is_replaced(start: Start) -> None:
    server = start()
    server.wait_ready()
    before = server.worker
    status, _headers, body = server.embed("die")
    assert (status, body["error"]["code"]) == (503, "not_ready")
    server.wait_until(lambda: server.worker not in (None, before))
    server.wait_ready()
    assert server.embed("a")[0] == 200


def test_a_model_that_cannot_be_loaded_stops_the_service(start: Start) -> None:
    server = start(FAKE_LOAD_ERROR="no weights here")
    assert server.process.wait(timeout=60) == 3
    (line,) = [line for line in server.lines() if line["event"] == "model_failed"]
    assert line["reason"] == "no weights here"


def test_wrong_settings_stop_the_service(start: Start) -> None:
    server = start(MODEL_SERVER_SETTINGS="/nowhere/settings.json")
    assert server.process.wait(timeout=60) != 0
    assert "/nowhere/settings.json: cannot be read" in server.log.read_text()


def test_missing_keys_stop_the_service(start: Start) -> None:
    server = start(CREDENTIALS_DIRECTORY="/nowhere")
    assert server.process.wait(timeout=60) != 0
    assert "/nowhere/secrets.json: the settings require api_keys" in server.log.read_text()


def test_the_process_answers_while_the_model_loads(start: Start) -> None:
    server = start()
    seen = threading.Event()

    def answers() -> bool:
        if server.request("GET", "/health")[0] == 200:
            seen.set()
        return seen.is_set()

    server.wait_until(answers)
    server.wait_ready()
