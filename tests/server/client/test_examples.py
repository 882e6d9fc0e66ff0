# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The examples as a user runs them, against a stand-in that answers as the service does."""

from __future__ import annotations

import runpy
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from driver import KEY, MODEL
from model_server import client as sdk
from stand_in import stand_in

EXAMPLES = Path(sdk.__file__).resolve().parents[2] / "examples"


@pytest.fixture(params=[{"similarity", "ner"}], ids=["all offered"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, stand_in(request.param), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> Callable[..., list[str]]:
    """Run an example as a program and return its lines."""

    def run(name: str, key: str = KEY) -> list[str]:
        monkeypatch.syspath_prepend(EXAMPLES)
        monkeypatch.setattr(sys, "argv", [name, "--url", url, "--key", key])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return run


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "embed_and_compare.py",
            [
                f"3 vectors of 2 numbers by {MODEL}",
                "vector space: sha256:1",
                "nearest to: Who plays an instrument?",
                "  +1.0000  A man is playing the guitar.",
                "  +0.7071  The invoice is due at the end of the month.",
                "  +0.4472  Someone makes music on a stringed instrument.",
                "similarity by the service: +0.5000",
            ],
        ),
        (
            "ner.py",
            [
                "1 entities in: Ada Lovelace met Charles Babbage in London.",
                "    0-3   PER   0.900 Ada",
            ],
        ),
        (
            "chat_stream.py",
            [
                "question: Name three colours of the rainbow.",
                "answer: Hello",
                "ended by stop after 2 tokens",
            ],
        ),
        (
            "chat_openai.py",
            [f"model: {MODEL}", "answer: Hello", "ended by stop", "stream: Hello"],
        ),
        (
            "chat_websocket.py",
            [
                *("question: Name a colour of the rainbow.", "answer: after 0"),
                "ended by stop after 2 tokens",
                *("question: And another one?", "answer: after 2"),
                "ended by stop after 2 tokens",
            ],
        ),
    ],
)
def test_example(run: Callable[..., list[str]], name: str, lines: list[str]) -> None:
    assert run(name) == lines


@pytest.mark.parametrize("url", [{"embedding", "similarity"}], ids=["no ner"], indirect=True)
def test_names_are_not_offered_by_every_model(run: Callable[..., list[str]]) -> None:
    (line,) = run("ner.py")
    assert line == "not offered: It was task_not_offered. Offered: embedding, similarity"


def test_a_wrong_key_fails_by_name(run: Callable[..., list[str]]) -> None:
    with pytest.raises(sdk.Unauthenticated, match="401 invalid_api_key"):
        run("ner.py", key="wrong")


def test_no_example_is_left_out() -> None:
    names = {file.name for file in EXAMPLES.glob("*.py")} - {"arguments.py"}
    assert names == {
        "chat_openai.py",
        "chat_stream.py",
        "chat_websocket.py",
        "embed_and_compare.py",
        "ner.py",
    }
