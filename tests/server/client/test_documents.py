# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The code of the documents runs, and is the same in both languages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from driver import KEY
from model_server.types import PredictResponse
from stand_in import RESULTS, stand_in

DOCUMENTS = Path(__file__).resolve().parents[3] / "docs"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
COMMENT = re.compile(r"#.*")


def blocks(name: str) -> list[str]:
    return BLOCK.findall((DOCUMENTS / name).read_text(encoding="utf-8"))


def test_the_code_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    service = httpx2.WSGITransport(app=stand_in(set(RESULTS)))

    def answer(_self: Any, request: httpx2.Request) -> httpx2.Response:
        return service.handle_request(request)

    async def answer_async(_self: Any, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        given = service.handle_request(
            httpx2.Request(
                request.method, request.url, headers=request.headers, content=request.content
            )
        )
        return httpx2.Response(given.status_code, headers=given.headers, content=given.read())

    monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", answer)
    monkeypatch.setattr(httpx2.AsyncHTTPTransport, "handle_async_request", answer_async)
    names: dict[str, Any] = {}
    for block in blocks("sdk.md"):
        exec(block.replace("an API key of the service", KEY), names)
    assert names["seconds"] == 60
    assert names["index"]["fingerprint"] == names["asked"].fingerprint == "sha256:1"
    assert names["stream"].finish_reason == "stop"


def test_both_languages_show_the_same_code() -> None:
    english, chinese = (
        [COMMENT.sub("#", block) for block in blocks(f"sdk{suffix}.md")]
        for suffix in ("", ".zh-CN")
    )
    assert len(english) == 7
    assert english == chinese


@pytest.mark.parametrize("name", RESULTS)
def test_the_stand_in_answers_as_the_service(name: str) -> None:
    PredictResponse.model_validate({"result": RESULTS[name]})
