# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The pages load nothing from elsewhere, run nothing inline, and are kept by nobody."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from model_server import pages
from support import Service, error

FOLDER = Path(pages.__file__).parent
STATIC = sorted((FOLDER / "static").iterdir())
FILES = [*STATIC, *sorted((FOLDER / "templates").iterdir()), *sorted((FOLDER / "texts").iterdir())]
PATHS = ["/playground", "/docs", "/docs?lang=zh", "/playground/texts.json"]
# Names of an XML vocabulary and of a specification; nothing is fetched from there.
NAMES = {"http://www.w3.org/2000/svg", "https://html.spec.whatwg.org/#event-stream-interpretation"}

FORBIDDEN = (
    *("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"),
    *("localStorage", "sessionStorage", "indexedDB", "document.cookie"),
)


class Tags(HTMLParser):
    """Collects what a page refers to, and what it would run inline."""

    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in names):
            self.inline.append(tag)
        self.inline += [name for name in names if name == "style" or name.startswith("on")]
        self.links += [value for name in ("src", "href") if (value := names.get(name))]


@pytest.mark.parametrize("path", [*PATHS, *(f"/playground/{file.name}" for file in STATIC)])
def test_every_answer_carries_the_policy(service: Service, path: str) -> None:
    response = service.client.get(path)
    assert response.status_code == 200
    headers = response.headers
    assert headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    expected = kinds.get(Path(path).suffix)
    assert expected is None or headers["Content-Type"].startswith(expected)
    response.close()


@pytest.mark.parametrize("path", ["/playground", "/docs", "/docs?lang=zh"])
def test_nothing_is_inline_and_every_link_leads_to_this_service(
    service: Service, path: str
) -> None:
    page = service.client.get(path).text
    tags = Tags()
    tags.feed(page)
    assert tags.inline == []
    assert tags.links
    for link in tags.links:
        if link.startswith("#"):
            assert f'id="{link[1:]}"' in page
        else:
            response = service.client.get(link)
            assert response.status_code == 200, link
            response.close()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_file_names_an_address_elsewhere(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert set(re.findall(r"(?:https?:)?//[\w.-]+\.[a-z]{2,}[^\s\"')]*", text)) <= NAMES
    assert "SPDX-License-Identifier: Apache-2.0" in text
    assert len(text.splitlines()) < 400


@pytest.mark.parametrize("file", [file for file in STATIC if file.suffix == ".js"], ids=str)
def test_scripts_make_no_markup_of_text_and_keep_nothing(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert [word for word in FORBIDDEN if word in text] == []
    assert len(text.splitlines()) < 400


def test_the_pages_need_no_key_and_hold_none(service: Service) -> None:
    for path in PATHS:
        assert service.client.get(path).status_code == 200
        assert "test-key" not in service.client.get(path).text


@pytest.mark.parametrize(
    "name", ["none.js", "../reference.py", "..%2fschemas.py", "%2e%2e/texts/en.toml"]
)
def test_only_static_files_are_handed_out(service: Service, name: str) -> None:
    error(service.client.get(f"/playground/{name}"), 404, "route_not_found")


def test_the_pages_stay_out_of_the_interface_for_programs(service: Service) -> None:
    assert not [path for path in service.app.spec["paths"] if path.startswith(("/docs", "/play"))]
