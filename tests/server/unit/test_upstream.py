# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The engine that hands conversations on: against a stand-in server, and against our own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from fakes import FakeGenerator
from model_server.engines.base import (
    EngineStartFailed,
    GenerationChunk,
    GenerationRequest,
    Message,
    PromptTooLong,
    Purpose,
    UpstreamError,
)
from model_server.engines.upstream import UpstreamGenerator
from model_server.settings import EngineSettings
from support import KEY, Service, chat_sections

SECRET = "secret-of-the-upstream"
Answer = Callable[[BaseHTTPRequestHandler], None]


class StandIn(ThreadingHTTPServer):
    """A stand-in for an OpenAI-compatible server; each test gives it its answer."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.bodies: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        self.left = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: StandIn
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        send(self, 200, {"data": [{"id": "small"}, {"id": "large"}]})

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.bodies.append(json.loads(self.rfile.read(length)))
        self.server.authorizations.append(self.headers.get("Authorization"))
        self.server.answer(self)

    def log_message(self, *_arguments: Any) -> None:
        pass


def send(handler: BaseHTTPRequestHandler, status: int, body: Any) -> None:
    content = json.dumps(body).encode()
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


def events(*blocks: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        for block in blocks:
            handler.wfile.write(f"{block}\n\n".encode())
        handler.close_connection = True

    return answer


def delta(text: str, reason: str | None = None) -> str:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    return f"data: {json.dumps({'choices': [choice]}, ensure_ascii=False)}"


USAGE = 'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}'


@contextmanager
def upstream(answer: Answer, model: str = "small") -> Iterator[tuple[UpstreamGenerator, StandIn]]:
    server = StandIn(answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield connect(f"http://127.0.0.1:{server.server_port}/v1", model, SECRET), server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def connect(url: str, model: str, credential: str | None) -> UpstreamGenerator:
    engine = UpstreamGenerator()
    engine.credential = credential
    settings = EngineSettings(name="upstream", upstream_url=url, upstream_model=model, parallel=4)
    engine.load(Path("/nowhere"), settings, Purpose.GENERATION)
    return engine


def say(
    engine: UpstreamGenerator,
    text: str = "one",
    cancelled: Callable[[], bool] = lambda: False,
    **fields: Any,
) -> list[GenerationChunk]:
    request = GenerationRequest((Message("user", text),), 1000, 0.5, 0.9, **fields)
    return list(engine.generate(request, cancelled))


def test_an_answer_is_handed_on_with_its_counts() -> None:
    answer = events(delta("你好"), ": a comment", delta("😀", "stop"), USAGE, "data: [DONE]")
    with upstream(answer) as (engine, server):
        assert engine.parallel == 4
        assert say(engine, stop=("END",), seed=3) == [
            GenerationChunk("你好", None, 0, 1),
            GenerationChunk("😀", None, 0, 2),
            GenerationChunk("", "stop", 7, 3),
        ]
        assert server.authorizations == [f"Bearer {SECRET}"]
        assert server.bodies == [
            {
                "model": "small",
                "messages": [{"role": "user", "content": "one"}],
                "max_tokens": 1000,
                "temperature": 0.5,
                "top_p": 0.9,
                "stream": True,
                "stream_options": {"include_usage": True},
                "stop": ["END"],
                "seed": 3,
            }
        ]


def test_a_model_that_is_not_there_stops_the_start() -> None:
    with (
        pytest.raises(EngineStartFailed, match="no model 'huge'; it has: small, large"),
        upstream(events(), model="huge"),
    ):
        pass


def test_a_server_that_is_not_there_stops_the_start() -> None:
    with pytest.raises(EngineStartFailed, match="does not answer") as caught:
        connect("http://127.0.0.1:9/v1", "small", SECRET)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (500, {"error": {"message": "no memory"}}, UpstreamError, "answered 500: no memory"),
        (401, {"detail": "who are you"}, UpstreamError, "answered 401"),
        (302, {}, UpstreamError, "answered 302"),
        (
            400,
            {"message": "This model's maximum context length is 512 tokens."},
            PromptTooLong,
            "maximum context length is 512",
        ),
        (
            422,
            {"error": {"message": "too much", "code": "context_length_exceeded"}},
            PromptTooLong,
            "too much",
        ),
    ],
)
def test_refusals_are_told_without_the_key(
    status: int, body: Any, error: type[Exception], words: str
) -> None:
    with upstream(lambda handler: send(handler, status, body)) as (engine, _server):
        with pytest.raises(error, match=words) as caught:
            say(engine)
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        events(delta("a"), 'data: {"error": {"message": "broke"}}'),
        events(delta("a"), "data: no json"),
        events(delta("a"), "data: []"),
    ],
)
def test_a_broken_stream_is_a_failure(answer: Answer) -> None:
    with upstream(answer) as (engine, _server), pytest.raises(UpstreamError):
        say(engine)


def test_a_stream_that_breaks_off_has_no_end() -> None:
    with upstream(events(delta("a"))) as (engine, _server):
        assert [chunk.finish_reason for chunk in say(engine)] == [None]


def wait_for_departure(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.settimeout(10)
    if handler.connection.recv(1) == b"":
        handler.server.left.set()  # type: ignore[attr-defined]
    handler.close_connection = True


def silent_after_the_first(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(f"{delta('a')}\n\n".encode())
    wait_for_departure(handler)


@pytest.mark.parametrize("answer", [wait_for_departure, silent_after_the_first])
def test_cancelling_closes_the_connection_within_a_second(answer: Answer) -> None:
    with upstream(answer) as (engine, server):
        cancelled = threading.Event()
        threading.Timer(0.3, cancelled.set).start()
        started = time.monotonic()
        say(engine, cancelled=cancelled.is_set)
        assert server.left.wait(1)
        assert time.monotonic() - started < 1.3


@pytest.fixture
def ours(snapshot: Path) -> Iterator[tuple[FakeGenerator, str]]:
    """Our own server on the fake generator, served by Werkzeug on loopback."""
    generator = FakeGenerator(parallel=2)
    service = Service(generator, snapshot, **chat_sections()).load()
    server = make_server("127.0.0.1", 0, service.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield generator, f"http://127.0.0.1:{server.server_port}/v1"
    service.runtime.stop(timeout=5)
    server.shutdown()
    thread.join(5)


def test_our_own_server_can_stand_behind(ours: tuple[FakeGenerator, str]) -> None:
    _generator, url = ours
    engine = connect(url, "smol", KEY)
    assert say(engine, "one two")[-1] == GenerationChunk("", "stop", 2, 2)
    with pytest.raises(PromptTooLong, match="99 tokens"):
        say(engine, "long")
    with pytest.raises(UpstreamError, match="answered 500"):
        say(engine, "fail")
    with pytest.raises(UpstreamError, match="broke off"):
        say(engine, "one fail")
    with pytest.raises(EngineStartFailed, match="answered 401"):
        connect(url, "smol", "wrong")


def test_the_model_is_called_as_the_service_unless_it_is_named(snapshot: Path) -> None:
    sections = chat_sections(engine={"name": "upstream", "upstream_url": "http://a/v1"})
    service = Service(FakeGenerator(), snapshot, **sections)
    assert service.settings.engine_section.upstream_model == "smol"
