# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The playground as people use it: a real browser against a real gunicorn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chromium import Chromium
from port_gunicorn import PortGunicorn
from support import KEY

pytestmark = pytest.mark.live

TEXTS = ["the first text", "the other text", "nothing in common"]
RESULT = "document.querySelector('.result').innerText"
ENTER = {"key": "Enter", "code": 13, "control": True}


@pytest.fixture(autouse=True)
def no_problems(page: Chromium) -> Iterator[None]:
    """No test leaves an exception or a resource that the policy refused."""
    yield
    refused = [text for text in page.problems if "the server responded with a status" not in text]
    assert refused == []


def connect(page: Chromium, server: PortGunicorn, query: str = "", key: str = KEY) -> None:
    page.open(f"{server.origin}/playground{query}")
    page.type("input[name=key]", key)
    page.click(".sign-in button")


def connect_to(page: Chromium, canned: PortGunicorn, query: str = "", **model: Any) -> Path:
    """Sign in to the stand-in as a model of some task; return its folder."""
    folder = Path(canned.home.parent) / "answers"
    (folder / "model.json").write_text(json.dumps(model))
    (folder / "release").unlink(missing_ok=True)
    connect(page, canned, query)
    return folder


def embed(page: Chromium, texts: list[str]) -> None:
    page.type("textarea[name=texts]", "\n".join(texts))
    page.click("button.run")
    page.wait("document.querySelector('.result').getAttribute('aria-busy') === 'false'")


def codes(page: Chromium) -> dict[str, str]:
    """The code that is offered, by the label of its tab."""
    names = page.wait("[...document.querySelectorAll('.below [role=tab]')].map(e => e.innerText)")
    texts = page.evaluate("[...document.querySelectorAll('.below pre')].map(e => e.textContent)")
    return dict(zip(names, texts, strict=True))


def test_the_matrix_holds_the_cosines_of_the_vectors(
    page: Chromium, embedder: PortGunicorn
) -> None:
    connect(page, embedder)
    embed(page, TEXTS)
    rows = page.wait(
        "[...document.querySelectorAll('.matrix tbody tr')]"
        ".map(r => [...r.querySelectorAll('td')].map(c => Number(c.innerText)))"
    )
    vectors = np.array([item["embedding"] for item in embedder.embed(TEXTS)[2]["data"]])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(rows, unit @ unit.T, atol=5e-4)
    best = page.evaluate("document.querySelector('.pairs li').innerText")
    assert all(text in best for text in TEXTS[:2])


def test_each_vector_is_a_strip_of_its_numbers(page: Chromium, embedder: PortGunicorn) -> None:
    connect(page, embedder)
    embed(page, TEXTS)
    strips = page.wait("[...document.querySelectorAll('.strip canvas')].map(c => c.ariaLabel)")
    vectors = [item["embedding"] for item in embedder.embed(TEXTS)[2]["data"]]
    for number, (label, vector) in enumerate(zip(strips, vectors, strict=True), start=1):
        assert label == (
            f"Vector of text {number}: {len(vector)} numbers "
            f"from {min(vector):.3f} to {max(vector):.3f}"
        )
    # The greatest number of all is the bluest column, the least the most orange.
    flat = np.array(vectors)
    row, column = np.unravel_index(np.abs(flat).argmax(), flat.shape)
    red, _green, blue, _alpha = page.evaluate(
        f"[...document.querySelectorAll('.strip canvas')[{row}].getContext('2d')"
        f".getImageData({column}, 0, 1, 1).data]"
    )
    assert (blue > red) == (flat[row, column] > 0)


def test_the_key_stays_in_memory_and_out_of_sight(page: Chromium, embedder: PortGunicorn) -> None:
    connect(page, embedder)
    embed(page, TEXTS)
    assert KEY not in page.evaluate("document.documentElement.outerHTML")
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [
        0,
        0,
        "",
    ]
    assert all("$KEY" in code or '["KEY"]' in code for code in codes(page).values())
    page.open(f"{embedder.origin}/playground")
    page.wait("document.querySelector('input[name=key]')?.value === ''")


def test_the_offered_code_does_the_same(page: Chromium, embedder: PortGunicorn) -> None:
    texts = ['it\'s "quoted" $HOME `id`', "emoji 🚀 \\ backslash"]
    connect(page, embedder)
    embed(page, texts)
    offered = codes(page)
    assert list(offered) == ["curl", "Python", "Python, openai"]
    environment = {**os.environ, "KEY": KEY}
    run = {"env": environment, "capture_output": True, "text": True}
    expected = [item["embedding"] for item in embedder.embed(texts)[2]["data"]]
    curl = subprocess.run(["bash", "-c", offered["curl"]], check=True, **run)
    assert [item["embedding"] for item in json.loads(curl.stdout)["data"]] == expected
    python = subprocess.run([sys.executable, "-c", offered["Python, openai"]], check=True, **run)
    np.testing.assert_allclose(json.loads(python.stdout), expected, atol=1e-6)
    compile(offered["Python"], "sdk", "exec")
    assert f'Client("{embedder.origin}", api_key=os.environ["KEY"])' in offered["Python"]


def test_a_wrong_key_is_explained_and_forgotten(page: Chromium, embedder: PortGunicorn) -> None:
    connect(page, embedder, key="wrong")
    shown = page.wait("document.querySelector('.failure')?.innerText")
    assert "401 invalid_api_key" in shown
    assert "Check the key" in shown
    assert page.evaluate("document.querySelector('input[name=key]').value") == ""
    page.type("input[name=key]", KEY)
    page.click(".sign-in button")
    page.wait("document.querySelector('h1')?.innerText === 'all-MiniLM-L6-v2'")


def test_a_user_can_sign_in_instead(page: Chromium, canned: PortGunicorn) -> None:
    connect_to(page, canned, task="rerank")
    page.click(".model button")
    for password, end in (("wrong", "'.failure'"), ("right", "'.bench'")):
        page.type("input[name=username]", "ada")
        page.type("input[name=password]", password)
        page.click(".sign-in form:nth-of-type(2) button")
        page.wait(f"document.querySelector({end}) !== null")
    assert "signed in until" in page.evaluate("document.querySelector('.model').innerText")
    page.click("button.run")
    page.wait("document.querySelector('.bars') !== null")
    assert all(KEY not in code for code in codes(page).values())


def test_a_failure_tells_code_request_and_remedy(page: Chromium, embedder: PortGunicorn) -> None:
    connect(page, embedder)
    embed(page, ["poison"])
    shown = page.wait("document.querySelector('.failure')?.innerText")
    assert "500 engine_error" in shown
    assert "Try another input" in shown
    lines = [line for line in embedder.lines() if line.get("code") == "engine_error"]
    assert lines[-1]["request_id"] in shown


def test_a_service_that_is_gone_is_told_as_such(page: Chromium, embedder: PortGunicorn) -> None:
    connect(page, embedder)
    page.wait("document.querySelector('.bench') !== null")
    page.call("Network.enable")
    page.call(
        "Network.emulateNetworkConditions",
        offline=True,
        latency=0,
        downloadThroughput=0,
        uploadThroughput=0,
    )
    try:
        page.click("button.run")
        assert "does not answer" in page.wait("document.querySelector('.failure')?.innerText")
    finally:
        page.call("Network.disable")
    page.problems.clear()


def test_what_people_write_is_text_and_no_markup(page: Chromium, embedder: PortGunicorn) -> None:
    text = "<img src=x onerror=alert(1)> & <b>bold</b>"
    connect(page, embedder)
    embed(page, [text, "plain"])
    assert text in page.wait(RESULT)
    assert page.evaluate("document.querySelectorAll('.result img, .result b').length") == 0


def test_the_keyboard_is_enough(page: Chromium, embedder: PortGunicorn) -> None:
    page.open(f"{embedder.origin}/playground")
    page.wait("document.activeElement?.name === 'key'")
    page.call("Input.insertText", text=KEY)
    page.press("Enter", code=13)
    page.wait("document.activeElement?.name === 'texts'")
    page.press(**ENTER)
    page.wait("document.querySelectorAll('.matrix tbody tr').length === 4")


def test_every_field_and_button_has_a_name(page: Chromium, embedder: PortGunicorn) -> None:
    connect(page, embedder)
    embed(page, TEXTS)
    page.wait("document.querySelector('.matrix') !== null")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "textbox", "link", "tab", "image", "region", "form", "tablist"}
    named = [node for node in nodes if node.get("role", {}).get("value") in roles]
    assert len(named) > 10
    assert [node for node in named if not node.get("name", {}).get("value")] == []


def test_the_language_can_be_switched_and_keeps_the_result(
    page: Chromium, embedder: PortGunicorn
) -> None:
    connect(page, embedder)
    embed(page, TEXTS)
    before = page.wait("document.querySelector('.matrix tbody td:last-child').innerText")
    page.click("[data-language=zh]")
    assert "相似度" in page.wait(RESULT)
    assert page.evaluate("document.documentElement.lang") == "zh"
    assert "Similarity" not in page.evaluate("document.body.innerText")
    assert page.evaluate("document.querySelector('textarea').value") == "\n".join(TEXTS)
    assert (
        page.evaluate("document.querySelector('.matrix tbody td:last-child').innerText") == before
    )
    page.click("[data-language=en]")
    assert "Similarity" in page.wait(RESULT)


@pytest.mark.parametrize(
    ("query", "browser_language", "expected"),
    [
        ("", "en-US", "en"),
        ("", "zh-CN", "zh"),
        ("?lang=en", "zh-CN", "en"),
        ("?lang=zh", "en", "zh"),
    ],
)
def test_the_address_or_the_browser_chooses_the_language(
    page: Chromium, embedder: PortGunicorn, query: str, browser_language: str, expected: str
) -> None:
    agent = page.evaluate("navigator.userAgent")
    page.call("Network.setUserAgentOverride", userAgent=agent, acceptLanguage=browser_language)
    try:
        page.open(f"{embedder.origin}/playground{query}")
        page.wait("document.querySelector('.sign-in') !== null")
        assert page.evaluate("document.documentElement.lang") == expected
    finally:
        page.call("Network.setUserAgentOverride", userAgent=agent, acceptLanguage="en-US")


def test_entities_are_marked_where_they_stand_after_emoji(
    page: Chromium, canned: PortGunicorn
) -> None:
    connect_to(page, canned, task="token_classification", predict_tasks=["ner"])
    text = "🚀👩‍🚀 Ada Lovelace 🎉 lived in London; 王芳在北京大学。"
    page.type("textarea[name=text]", text)
    page.click("button.run")
    page.wait("document.querySelectorAll('mark').length === 4")
    marks = page.evaluate(
        "[...document.querySelectorAll('mark')].map(m => [m.textContent, m.dataset.type])"
    )
    assert marks == [
        ["Ada Lovelace", "PERSON"],
        ["London", "PLACE"],
        ["王芳", "PERSON"],
        ["北京大学", "ORGANISATION"],
    ]
    assert page.evaluate("document.querySelector('.result > .text').textContent") == text
    legend = page.evaluate("[...document.querySelectorAll('.types li')].map(e => e.innerText)")
    assert [entry.split() for entry in legend] == [
        ["PERSON", "2"],
        ["PLACE", "1"],
        ["ORGANISATION", "1"],
    ]
    assert "client.entities(" in codes(page)["Python"]


def test_an_answer_is_marked_in_its_context(page: Chromium, canned: PortGunicorn) -> None:
    connect_to(page, canned, task="question_answering", predict_tasks=["qa"])
    page.type("textarea[name=context]", "🌉 May 1905? No: it was opened in May 1904.")
    page.click("button.run")
    assert page.wait("document.querySelector('mark')?.textContent") == "May 1904"
    assert page.evaluate("document.querySelector('mark').nextSibling.data") == "."


def test_labels_are_bars_for_each_task_of_the_model(page: Chromium, canned: PortGunicorn) -> None:
    connect_to(page, canned, task="classification", predict_tasks=["classification", "sentiment"])
    page.wait("document.querySelectorAll('main > [role=tablist] [role=tab]').length === 2")
    page.evaluate("document.querySelector('main > [role=tablist] [role=tab]').focus()")
    page.press("ArrowRight", code=39)
    assert page.evaluate("document.activeElement.innerText") == "Sentiment"
    page.click("[role=tabpanel]:not([hidden]) button.run")
    page.wait("document.querySelectorAll('.bars li').length === 3")
    widths = page.evaluate("[...document.querySelectorAll('.bar-fill')].map(e => e.style.width)")
    assert widths == ["91%", "7%", "2%"]
    assert '"task_type":"sentiment"' in codes(page)["curl"]


def test_documents_are_shown_in_the_order_of_relevance(
    page: Chromium, canned: PortGunicorn
) -> None:
    connect_to(page, canned, task="rerank")
    page.type("textarea[name=documents]", "first\nsecond\n\nthird")
    page.click("button.run")
    page.wait("document.querySelectorAll('.bars li').length === 3")
    labels = page.evaluate("[...document.querySelectorAll('.bar-label')].map(e => e.innerText)")
    assert [label.split() for label in labels] == [["3", "third"], ["2", "second"], ["1", "first"]]
    scores = page.evaluate("[...document.querySelectorAll('.bar-score')].map(e => e.innerText)")
    assert scores == ["0.750", "0.500", "0.250"]


def say(page: Chromium, text: str) -> None:
    page.type("textarea[name=message]", text)
    page.click("button.run")


def last_turn(page: Chromium) -> str:
    return str(page.evaluate("document.querySelector('.turn:last-child').innerText"))


def test_a_chat_shows_its_first_words_before_the_end(page: Chromium, canned: PortGunicorn) -> None:
    folder = connect_to(page, canned, task="chat")
    say(page, "hello")
    page.wait("document.querySelector('.turn.assistant .text')?.textContent === 'The sea '")
    assert not (folder / "release").exists()
    assert page.evaluate("document.querySelector('button.stop').hidden") is False
    (folder / "release").touch()
    page.wait("document.querySelector('button.stop').hidden")
    shown = last_turn(page)
    assert "The sea never sleeps." in shown
    assert "first token after" in shown
    assert "tokens/s" in shown
    assert "4 tokens" in shown
    offered = codes(page)
    assert "client.chat_stream(" in offered["Python"]
    assert "stream=True" in offered["Python, openai"]
    for name in ("Python", "Python, openai"):
        compile(offered[name], name, "exec")


def test_a_chat_can_be_stopped_and_goes_on(page: Chromium, canned: PortGunicorn) -> None:
    folder = connect_to(page, canned, task="chat")
    say(page, "hello")
    page.wait("document.querySelector('.turn.assistant .text')?.textContent === 'The sea '")
    page.click("button.stop")
    page.wait("document.querySelector('button.stop').hidden")
    assert "stopped" in last_turn(page)
    (folder / "release").touch()
    say(page, "go on")
    page.wait("document.querySelectorAll('.turn').length === 4")
    page.wait("document.querySelector('button.stop').hidden")
    assert "The sea never sleeps." in last_turn(page)
    body = codes(page)["curl"]
    assert '{"role":"assistant","content":"The sea "},{"role":"user","content":"go on"}' in body


def test_a_limit_counts_down_and_can_be_tried_again(page: Chromium, canned: PortGunicorn) -> None:
    connect_to(page, canned, task="chat")
    say(page, "limit")
    shown = page.wait("document.querySelector('.failure')?.innerText")
    assert "429 rate_limited" in shown
    assert page.evaluate("document.querySelector('.failure button').disabled") is True
    page.wait("document.querySelector('.failure button').innerText === 'Try again'")
    assert page.evaluate("document.querySelector('.failure button').disabled") is False


def test_a_stream_that_breaks_keeps_its_words_and_tells_why(
    page: Chromium, canned: PortGunicorn
) -> None:
    connect_to(page, canned, task="chat")
    say(page, "break")
    shown = page.wait("document.querySelector('.failure')?.innerText")
    assert "engine_error" in shown
    assert "The sea" in last_turn(page)


@pytest.mark.parametrize(
    ("language", "width", "dark"),
    [("en", 1280, False), ("zh", 1280, True), ("en", 390, True), ("zh", 390, False)],
)
def test_nothing_sticks_out_of_the_page(
    page: Chromium,
    embedder: PortGunicorn,
    pictures: Path,
    language: str,
    width: int,
    dark: bool,
) -> None:
    page.look(width=width, dark=dark)
    connect(page, embedder, f"?lang={language}")
    page.click("button.run")
    page.wait("document.querySelector('.matrix') !== null")
    page.screenshot(pictures / f"playground-{language}-{width}.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.open(f"{embedder.origin}/docs?lang={language}")
    page.wait("document.querySelector('article .code button') !== null")
    page.screenshot(pictures / f"docs-{language}-{width}.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
