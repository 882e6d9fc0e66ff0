# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Places, waiting, deadlines and the end of every generation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from fakes import FakeGenerator
from model_server.engines.base import GenerationChunk, Message
from model_server.errors import (
    ContextTooLong,
    DeadlineExceeded,
    Draining,
    InferenceFailed,
    InvalidRequest,
    Overloaded,
    ServiceError,
    UpstreamFailed,
)
from model_server.lanes.generation import Generation, GenerationLane
from model_server.metrics import Metrics
from model_server.settings import ChatSettings, LimitsSettings, Settings
from model_server.tasks.chat import ChatOptions, ChatTask


class Lane:
    """A lane on the fake generator."""

    def __init__(self, parallel: int, seconds: int = 20, waiting: int = 2) -> None:
        self.engine = FakeGenerator(parallel)
        self.metrics = Metrics()
        self.deaths = 0
        limits = LimitsSettings(request_timeout_seconds=seconds, waiting_generations=waiting)
        self.lane = GenerationLane(
            ChatTask(self.engine, ChatSettings()),
            Settings.model_construct(limits=limits),
            clock=time.monotonic,
            metrics=self.metrics,
            on_death=self.die,
        )
        self.lane.start()

    def die(self) -> None:
        self.deaths += 1

    def say(self, text: str) -> Generation:
        return self.lane.generate([Message("user", text)], ChatOptions())

    def text(self, text: str) -> str:
        return "".join(chunk.text for chunk in self.say(text).chunks())

    def close(self) -> None:
        self.engine.stepped = False
        self.engine.unblock()
        self.lane.stop(5)


@pytest.fixture
def lane() -> Iterator[Lane]:
    one = Lane(parallel=1)
    yield one
    one.close()


def eventually(condition: Callable[[], bool], seconds: float = 3) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def test_an_answer_comes_in_chunks_and_says_how_it_ended(lane: Lane) -> None:
    chunks = list(lane.say("one two").chunks())
    assert chunks == [
        GenerationChunk("one ", None, 2, 1),
        GenerationChunk("two ", None, 2, 2),
        GenerationChunk("", "stop", 2, 2),
    ]
    value = lane.metrics.registry.get_sample_value
    assert value("model_server_generated_tokens_total") == 2
    assert value("model_server_prompt_tokens_total") == 2
    assert value("model_server_generations_total", {"outcome": "stop"}) == 1
    assert value("model_server_first_token_seconds_count") == 1


def test_more_than_may_wait_is_refused_at_once(lane: Lane) -> None:
    lane.engine.stepped = True
    running = lane.say("a")
    assert lane.engine.entered.wait(5)
    waiting = [lane.say("b"), lane.say("c")]
    started = time.monotonic()
    with pytest.raises(Overloaded) as caught:
        lane.say("d")
    assert time.monotonic() - started < 0.1
    assert caught.value.retry_after == 5
    assert lane.lane.queued_tokens == 2 * 256
    lane.engine.stepped = False
    assert ["".join(each.text for each in one.chunks()) for one in (running, *waiting)] == [
        *("a ", "b ", "c ")
    ]


def test_what_was_cancelled_while_it_waited_is_never_computed(lane: Lane) -> None:
    lane.engine.stepped = True
    running = lane.say("a")
    assert lane.engine.entered.wait(5)
    lane.say("b").close()
    kept = lane.say("c")
    lane.engine.stepped = False
    assert [each.text for each in kept.chunks()] == ["c ", ""]
    list(running.chunks())
    assert [request.messages[-1].content for request in lane.engine.requests] == ["a", "c"]


def test_a_deadline_ends_the_computation() -> None:
    lane = Lane(parallel=1, seconds=1)
    with pytest.raises(DeadlineExceeded):
        list(lane.say("endless").chunks())
    assert eventually(lambda: lane.engine.ended == 1)
    lane.close()


def test_a_client_that_has_gone_ends_the_computation(lane: Lane) -> None:
    for text in ("endless", "wait:/nowhere"):
        before = lane.engine.ended
        gone = threading.Event()
        threading.Timer(0.2, gone.set).start()
        started = time.monotonic()
        list(lane.say(text).chunks(gone.is_set))
        assert eventually(lambda before=before: lane.engine.ended == before + 1)
        assert time.monotonic() - started < 1.2


def test_a_reader_that_is_slow_holds_no_place(lane: Lane) -> None:
    slow = lane.say("one two three four").chunks()
    next(slow)
    assert lane.text("other") == "other "
    assert [chunk.text for chunk in slow] == ["two ", "three ", "four ", ""]


def test_places_work_at_once() -> None:
    lane = Lane(parallel=2)
    lane.engine.stepped = True
    both = [lane.say("a"), lane.say("b")]
    assert eventually(lambda: len(lane.engine.requests) == 2)
    assert len(lane.engine.threads) == 2
    lane.engine.stepped = False
    assert all(list(each.chunks())[-1].finish_reason == "stop" for each in both)
    lane.close()


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("fail", InferenceFailed),
        ("long", ContextTooLong),
        ("refused", InvalidRequest),
        ("upstream", UpstreamFailed),
    ],
)
def test_a_failure_is_told_and_the_next_answer_comes(
    lane: Lane, word: str, error: type[ServiceError]
) -> None:
    with pytest.raises(error) as caught:
        lane.text(word)
    assert "told to fail" not in caught.value.message
    assert lane.text("next") == "next "


def test_a_dead_place_is_noticed(lane: Lane) -> None:
    assert lane.lane.alive
    with pytest.raises(InferenceFailed):
        lane.text("die")
    assert eventually(lambda: not lane.lane.alive)
    assert lane.deaths == 1
    with pytest.raises(InferenceFailed):
        lane.lane.try_canary(1)


def test_a_place_that_hangs_makes_the_canary_fail(lane: Lane) -> None:
    generation = lane.say("hang")
    assert lane.engine.entered.wait(5)
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        lane.lane.try_canary(0.5)
    assert time.monotonic() - started < 2
    generation.close()


def test_the_canary_goes_before_all_that_wait(lane: Lane) -> None:
    lane.engine.stepped = True
    running = lane.say("a")
    assert lane.engine.entered.wait(5)
    waiting = lane.say("b")
    canary = threading.Thread(target=lambda: lane.lane.try_canary(10))
    canary.start()
    assert eventually(lambda: lane.lane.queued_tokens == 256 + 4)
    running.close()
    assert eventually(lambda: len(lane.engine.requests) == 2)
    lane.engine.stepped = False
    canary.join(5)
    list(waiting.chunks())
    assert [request.messages[-1].content for request in lane.engine.requests] == ["a", "Hi", "b"]


def test_a_stop_finishes_what_runs_and_refuses_the_rest(lane: Lane) -> None:
    lane.engine.stepped = True
    running = lane.say("one two")
    assert lane.engine.entered.wait(5)
    waiting = lane.say("b")
    stopping = threading.Thread(target=lambda: lane.lane.stop(5))
    stopping.start()
    with pytest.raises(Draining):
        list(waiting.chunks())
    with pytest.raises(Draining):
        lane.say("c")
    lane.engine.step(2)
    assert [chunk.text for chunk in running.chunks()] == ["one ", "two ", ""]
    stopping.join(5)
    assert not stopping.is_alive()


def test_a_stop_ends_what_takes_too_long(lane: Lane) -> None:
    answer = lane.say("endless")
    assert lane.engine.entered.wait(5)
    lane.lane.stop(0.2)
    assert lane.engine.ended == 1
    with pytest.raises(Draining):
        list(answer.chunks())
