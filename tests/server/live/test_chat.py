# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Chat as it runs: gunicorn, sockets, clients that leave or do not read."""

from __future__ import annotations

import json
import signal
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
import simple_websocket
from wsproto import ConnectionType

from fakes import trace_name
from gunicorn_process import Gunicorn, UnixConnection, openai_client
from support import AUTHORIZED, KEY, chat_sections, settings_content

pytestmark = pytest.mark.live

LIMITS = {
    "request_timeout_seconds": 20,
    "waiting_generations": 1,
    "websockets": 2,
    "websocket_idle_seconds": 3,
}


class ChatServer(Gunicorn):
    """A server on the fake generator, which tells when a computation ends."""

    def __init__(self, folder: Path) -> None:
        self.trace = folder / "trace"
        self.trace.mkdir()
        content = settings_content(folder, **chat_sections(limits=LIMITS))
        super().__init__(folder, "fake_wsgi:app", content, FAKE_TRACE=str(self.trace))

    def computes(self, text: str) -> bool:
        """Whether the answer to `text` is begun within 10 s, and goes on for a while."""
        begun = within(10, (self.trace / trace_name("begun", text)).exists)
        time.sleep(0.3)
        return begun and not self.ended(text)

    def ended(self, text: str) -> bool:
        """Whether the answer to `text` is no longer computed."""
        return (self.trace / trace_name("ended", text)).exists()

    def count(self, field: str, value: str) -> int:
        """How many lines of the log have that value."""
        return [line.get(field) for line in self.lines()].count(value)

    def open(self, path: str, body: Any) -> socket.socket:
        """Send a request and hand out its connection, nothing read."""
        connection = UnixConnection(self.socket)
        headers = {**AUTHORIZED, "Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(body), headers)
        return connection.sock

    def ask(self, text: str, **fields: Any) -> tuple[int, dict[str, str], Any]:
        """POST to /v1/chat/completions."""
        return self.request("POST", "/v1/chat/completions", completion(text, **fields))


def completion(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": "smol", "messages": [{"role": "user", "content": text}], **fields}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[ChatServer]:
    """A server of the test's own."""
    server = ChatServer(tmp_path)
    server.wait_ready()
    yield server
    server.close()


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatServer]:
    server = ChatServer(tmp_path_factory.mktemp("chat"))
    server.wait_ready()
    yield server
    server.close()


def once(words: str) -> str:
    """A message that no other test sends."""
    return f"{words} {uuid.uuid4().hex}"


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def test_the_openai_client_chats_unchanged(chat: ChatServer) -> None:
    client = openai_client(chat)
    messages: Any = [{"role": "user", "content": "one two three"}]
    answer = client.chat.completions.create(model="smol", messages=messages)
    assert answer.choices[0].message.content == "one two three "
    assert answer.usage is not None
    assert answer.usage.total_tokens == 6
    stream = client.chat.completions.create(
        model="smol", messages=messages, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    texts = [each.choices[0].delta.content or "" for each in chunks if each.choices]
    assert "".join(texts) == "one two three "
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("fail", openai.InternalServerError),
        ("long", openai.UnprocessableEntityError),
        ("upstream", openai.InternalServerError),
    ],
)
def test_the_openai_client_raises_the_right_error(
    chat: ChatServer, word: str, error: type[openai.APIStatusError]
) -> None:
    client = openai_client(chat).with_options(max_retries=0)
    with pytest.raises(error):
        client.chat.completions.create(
            model="smol", messages=[{"role": "user", "content": word}], stream=True
        )
    with pytest.raises(openai.AuthenticationError):
        openai_client(chat, key="wrong").chat.completions.create(
            model="smol", messages=[{"role": "user", "content": "a"}]
        )
    with pytest.raises(openai.APIError):
        list(
            client.chat.completions.create(
                model="smol", messages=[{"role": "user", "content": f"one {word}"}], stream=True
            )
        )


def test_the_first_event_arrives_before_the_second_is_made(
    chat: ChatServer, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    connection = chat.open("/v1/chat/completions", completion(f"one wait:{go}", stream=True))
    seen = b""
    while b'"one "' not in seen:
        seen += connection.recv(4096)
    assert b"text/event-stream" in seen
    assert b"wait:" not in seen
    go.touch()
    while b"[DONE]" not in seen:
        seen += connection.recv(4096)
    connection.close()


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat", "/chat/stream"])
@pytest.mark.parametrize("word", ["endless", "wait:/nowhere", "one wait:/nowhere"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_its_computation_within_a_second(
    chat: ChatServer, path: str, word: str, stream: bool
) -> None:
    text = once(word)
    if path == "/v1/chat/completions":
        body = completion(text, stream=stream, max_tokens=1000)
    else:
        body = {"message": text, "max_tokens": 1000}
    gone = chat.count("code", "client_gone")
    connection = chat.open(path, body)
    assert chat.computes(text)
    left = time.monotonic()
    connection.close()
    assert within(1.0, lambda: chat.ended(text)), "the computation goes on"
    assert time.monotonic() - left < 1.0
    assert within(2, lambda: chat.count("code", "client_gone") == gone + 1)


def test_a_client_that_leaves_with_a_request_sent_ahead_is_seen(chat: ChatServer) -> None:
    text = once("wait:/nowhere")
    connection = chat.open("/v1/chat/completions", completion(text))
    connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
    assert chat.computes(text)
    connection.close()
    assert within(1.0, lambda: chat.ended(text))


def test_a_client_that_waits_is_not_taken_for_one_that_left(
    chat: ChatServer, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(chat.ask, f"wait:{go}")
        time.sleep(1)
        go.touch()
        assert answer.result()[0] == 200


def test_a_client_that_does_not_read_holds_no_place(chat: ChatServer) -> None:
    text = once("endless")
    slow = chat.open("/v1/chat/completions", completion(text, stream=True, max_tokens=800))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    assert within(15, lambda: chat.ended(text))
    assert chat.ask("other")[0] == 200
    slow.close()


def test_a_full_queue_is_told_before_a_stream_begins(chat: ChatServer, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with ThreadPoolExecutor(2) as pool:
        admitted = [pool.submit(chat.ask, f"wait:{go}") for _turn in range(2)]
        time.sleep(0.5)
        status, headers, body = chat.ask("more", stream=True)
        assert (status, body["error"]["code"]) == (503, "overloaded")
        assert headers["Retry-After"] == "5"
        go.touch()
        assert [one.result()[0] for one in admitted] == [200, 200]


class UnixWebSocket(simple_websocket.Client):
    """A WebSocket client on a Unix socket; `/ws` by default."""

    def __init__(self, path: Path, headers: dict[str, str]) -> None:
        self.host, self.port, self.path, self.subprotocols = "localhost", 80, "/ws", []
        self.extra_headeers = list(headers.items())  # spelled so by the library
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(path))
        simple_websocket.ws.Base.__init__(self, connection, connection_type=ConnectionType.CLIENT)

    def say(self, **message: Any) -> None:
        self.send(json.dumps(message))

    def hear(self) -> Any:
        answer = self.receive(timeout=10)
        assert answer is not None, "no message within 10 s"
        return json.loads(answer)


def handshake(server: ChatServer, **headers: str) -> tuple[int, Any]:
    connection = UnixConnection(server.socket)
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    connection.request("GET", "/ws", headers={**upgrade, **headers})
    answer = connection.getresponse()
    body = json.loads(answer.read()) if answer.status != 101 else None
    connection.close()
    return answer.status, body


def test_a_websocket_answers(chat: ChatServer) -> None:
    client = UnixWebSocket(chat.socket, AUTHORIZED)
    for _turn in range(2):
        client.say(message="one two")
        assert client.hear() == {"type": "delta", "text": "one "}
        assert client.hear() == {"type": "delta", "text": "two "}
        end = client.hear()
        assert (end["type"], end["finish_reason"]) == ("end", "stop")
        assert end["usage"]["total_tokens"] == 4
    client.close()
    assert within(2, lambda: chat.count("method", "WS") == 2)


def test_the_first_message_may_bring_the_token(chat: ChatServer) -> None:
    client = UnixWebSocket(chat.socket, {"Origin": "http://localhost"})
    client.say(type="auth", token=KEY)
    client.say(message="one")
    assert client.hear()["text"] == "one "
    client.close()


@pytest.mark.parametrize(
    "first", [{"type": "auth", "token": "wrong"}, {"message": "one"}, {"type": "auth"}]
)
def test_without_a_token_a_websocket_is_closed(chat: ChatServer, first: dict[str, Any]) -> None:
    client = UnixWebSocket(chat.socket, {})
    client.say(**first)
    assert client.hear()["error"]["code"] in ("invalid_api_key", "invalid_value")
    with pytest.raises(simple_websocket.ConnectionClosed) as caught:
        client.receive(timeout=5)
    assert caught.value.reason == 1008


def test_a_handshake_is_refused_with_a_status(chat: ChatServer) -> None:
    status, body = handshake(chat, **{**AUTHORIZED, "Origin": "http://elsewhere"})
    assert (status, body["error"]["code"]) == (403, "origin_not_allowed")
    status, body = handshake(chat, Authorization="Bearer wrong")
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")


def test_wrong_messages_are_told_and_the_next_is_answered(chat: ChatServer) -> None:
    client = UnixWebSocket(chat.socket, AUTHORIZED)
    for text, code in (
        ("no json", "malformed_request"),
        ('{"message": "a", "more": 1}', "invalid_value"),
        ('{"message": "a\\ud800"}', "invalid_value"),
        ('{"message": "fail"}', "engine_error"),
        ("[" * 4000, "malformed_request"),
    ):
        client.send(text)
        assert client.hear()["error"]["code"] == code, text[:40]
    client.say(message="one")
    assert client.hear()["text"] == "one "
    client.close()


def test_a_message_during_an_answer_is_refused(chat: ChatServer, tmp_path: Path) -> None:
    go = tmp_path / "go"
    client = UnixWebSocket(chat.socket, AUTHORIZED)
    client.say(message=f"one wait:{go} two")
    assert client.hear()["text"] == "one "
    client.say(message="more")
    assert client.hear()["error"]["code"] == "invalid_value"
    go.touch()
    assert [client.hear()["type"] for _event in range(3)] == ["delta", "delta", "end"]
    client.close()


@pytest.mark.parametrize("word", ["endless", "wait:/nowhere"])
@pytest.mark.parametrize("politely", [True, False])
def test_a_websocket_that_closes_ends_its_computation(
    chat: ChatServer, word: str, politely: bool
) -> None:
    text = once(word)
    client = UnixWebSocket(chat.socket, AUTHORIZED)
    client.say(message=text, max_tokens=1000)
    assert chat.computes(text)
    if politely:
        client.close()
    else:
        client.sock.shutdown(socket.SHUT_RDWR)
    assert within(1.0, lambda: chat.ended(text))


def test_too_many_too_large_or_idle_websockets_end(chat: ChatServer) -> None:
    first, second = (UnixWebSocket(chat.socket, AUTHORIZED) for _turn in range(2))
    status, body = handshake(chat, **AUTHORIZED)
    assert (status, body["error"]["code"]) == (503, "overloaded")
    second.say(message="a" * 10_000)
    with pytest.raises(simple_websocket.ConnectionClosed) as caught:
        second.receive(timeout=5)
    assert caught.value.reason == 1009
    with pytest.raises(simple_websocket.ConnectionClosed) as caught:
        first.receive(timeout=8)
    assert caught.value.reason == 1001
    assert within(3, lambda: handshake(chat, **AUTHORIZED)[0] == 101)


def test_a_stop_finishes_answers_and_ends_idle_websockets(own: ChatServer, tmp_path: Path) -> None:
    go = tmp_path / "go"
    idle = UnixWebSocket(own.socket, AUTHORIZED)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(own.ask, f"one wait:{go} two")
        time.sleep(0.5)
        stopped = time.monotonic()
        own.process.send_signal(signal.SIGTERM)
        with pytest.raises(simple_websocket.ConnectionClosed) as caught:
            idle.receive(timeout=2.5)
        assert caught.value.reason == 1001
        go.touch()
        assert running.result()[2]["choices"][0]["message"]["content"].endswith("two ")
    assert own.process.wait(timeout=10) == 0
    assert time.monotonic() - stopped < 10


def test_every_line_of_the_log_is_json(chat: ChatServer) -> None:
    assert chat.ask("one")[0] == 200
    (line,) = [line for line in chat.lines() if line.get("completion_tokens") == 1][-1:]
    assert line["route"] == "/v1/chat/completions"
    assert line["first_token_ms"] >= 0
