# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The reference tells of every route, field and error that a service has, in both languages."""

from __future__ import annotations

import html
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from apiflask import APIFlask
from pydantic import BaseModel

from fakes import FakeEngine
from model_server import types
from model_server.app import create_app
from model_server.credentials import Credentials, LoadedSettings
from model_server.errors import TABLE
from model_server.pages import examples
from model_server.pages.language import LANGUAGES, mark_code, of_playground, read
from model_server.pages.reference import Operation, Reference, find, routes
from model_server.pages.schemas import Field, Schemas, Variant
from model_server.settings import ServiceSettings, Settings
from support import Service, key_hash, settings_content

TASKS = get_args(ServiceSettings.model_fields["task"].annotation)
SECRETS = {
    "api_keys": [{"name": "demo", "sha256": key_hash("key")}],
    "users": [{"name": "ada", "password_hash": "scrypt:32768:8:1$salt$00"}],
    "signing_keys": [{"kid": "1", "secret": "s" * 32}],
    "conversation_keys": [{"version": "1", "key": "A" * 43 + "="}],
    "audit_key": "a" * 32,
}


def application(task: str, folder: Path) -> APIFlask:
    """A service of a task, with everything on that a service can have; its model is not loaded."""
    engine = {"name": "llama_cpp" if task == "chat" else "transformers"}
    content = settings_content(
        folder,
        service={"task": task},
        engine=engine,
        authentication={"methods": ["api_key", "jwt"]},
        conversations={"file": str(folder / "conversations.db")},
    )
    settings = Settings.model_validate_json(json.dumps(content))
    credentials = Credentials.model_validate_json(json.dumps(SECRETS))
    return create_app(LoadedSettings(settings=settings, credentials=credentials))


@pytest.fixture(params=TASKS)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> APIFlask:
    """A service of each task."""
    return application(request.param, tmp_path)


def reference(app: APIFlask, language: str) -> Reference:
    return Reference(
        app.spec, app.url_map.iter_rules(), language, url="https://h", task="chat", model="m"
    )


def by_name(app: APIFlask, language: str) -> dict[str, Operation]:
    return {operation.name: operation for operation in reference(app, language).operations}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_route_has_its_texts(app: APIFlask, language: str) -> None:
    operations = by_name(app, language)
    assert set(operations) == {name for name, _rule in routes(app.url_map.iter_rules())}
    assert [name for name, operation in operations.items() if not operation.summary] == []
    nameless = [
        f"{name}: {parameter.name}"
        for name, operation in operations.items()
        for parameter in operation.parameters
        if not parameter.description
    ]
    assert nameless == []


def test_chinese_says_what_english_says(app: APIFlask) -> None:
    english, chinese = by_name(app, "en"), by_name(app, "zh")
    for name, operation in english.items():
        other = chinese[name]
        assert not re.search(r"[\u4e00-\u9fff]", operation.summary + operation.description)
        assert re.search(r"[\u4e00-\u9fff]", other.summary), name
        assert not operation.description or other.description, name
        assert operation.tag in read("zh")["tags"], operation.tag
        for row, translated in zip(
            [*operation.request, *operation.answer], [*other.request, *other.answer], strict=True
        ):
            place = f"{name}: {row.path}"
            assert bool(row.description) == bool(translated.description), place


def test_only_what_the_service_offers_is_shown(service: Service) -> None:
    page = service.client.get("/docs").text
    assert "/v1/embeddings" in page
    assert "/v1/rerank" not in page
    assert "/v1/chat/completions" not in page


def models() -> Iterator[type[BaseModel]]:
    for name in types.__all__:
        kind = getattr(types, name)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield kind


@pytest.mark.parametrize("model", list(models()), ids=lambda model: model.__name__)
def test_every_described_field_has_a_chinese_text_and_no_other(model: type[BaseModel]) -> None:
    described = {name for name, field in model.model_fields.items() if field.description}
    assert set(read("zh")["fields"].get(model.__name__, {})) == described


def test_no_chinese_text_is_left_over() -> None:
    known = {model.__name__ for model in models()}
    assert set(read("zh")["fields"]) | set(read("zh")["schemas"]) <= known


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_error_has_a_meaning_and_a_remedy(language: str) -> None:
    codes = {row.code for row in TABLE}
    texts = read(language)
    assert set(texts["errors"]) == codes
    assert set(texts["remedies"]) == codes | {"unreachable"}


def test_both_languages_have_the_same_texts() -> None:
    english, chinese = (read(language) for language in LANGUAGES)
    for section in ("language", "reference", "parameters", "playground", "remedies"):
        assert set(english[section]) == set(chinese[section]), section
    for name, text in english["playground"].items():
        holes = re.findall(r"\{\w+\}", text)
        assert sorted(re.findall(r"\{\w+\}", chinese["playground"][name])) == sorted(holes), name
    assert all(find(chinese["operations"], name) for name in english["operations"])


def test_no_text_of_the_playground_is_left_over() -> None:
    folder = Path(examples.__file__).parent / "static"
    scripts = "".join(file.read_text() for file in sorted(folder.glob("*.js")))
    page = (folder.parent / "templates" / "playground.html").read_text()
    quoted = set(re.findall(r"[\"'`](\w+)[\"'`]", scripts + page))
    views = set(re.findall(r"^  (\w+): \w+View", scripts, re.MULTILINE))
    notes = {name for name in of_playground()["en"] if name.removesuffix("_note") in quoted}
    assert set(of_playground()["en"]) - {"remedies"} - quoted - views - notes == set()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.code)
def test_the_page_shows_every_error(service: Service, row: Any, language: str) -> None:
    page = service.client.get(f"/docs?lang={language}").text
    entry = page.split(f'id="error-{row.code}"', 1)[1].split("</tr>")[0]
    texts = read(language)
    assert str(row.status) in entry
    for text in (texts["errors"][row.code], texts["remedies"][row.code]):
        assert str(mark_code(text)) in entry


def test_each_route_lists_its_errors_by_status(service: Service) -> None:
    operation = by_name(service.app, "en")["POST /v1/embeddings"]
    assert operation.failures[422][0] == "invalid_value"
    assert "invalid_api_key" in operation.failures[401]
    assert operation.access == "key"
    assert by_name(service.app, "en")["GET /metrics"].access == "operators"


def test_fields_tell_type_default_and_bounds(service: Service) -> None:
    rows = by_name(service.app, "en")["POST /v1/embeddings"].request
    fields = {row.path: row for row in rows if isinstance(row, Field)}
    assert fields["input"].type == "string | string[]"
    assert fields["input"].required
    assert fields["encoding_format"].type == '"float" | "base64"'
    assert fields["encoding_format"].default == '"float"'
    (bound,) = fields["dimensions"].bounds
    assert (bound.kind, bound.text) == ("value", "8 \u2013 8")


def test_objects_within_objects_are_rows_too() -> None:
    def document(model: type[BaseModel]) -> list[Field | Variant]:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        return list(Schemas({"components": {"schemas": schema.pop("$defs")}}).rows(schema))

    chat = {row.path: row for row in document(types.ChatCompletionRequest)}
    role = chat["messages[].role"]
    assert isinstance(role, Field)
    assert role.type == '"system" | "developer" | "user" | "assistant"'
    assert chat["messages[].content[].text"].path
    top_p = chat["top_p"]
    assert isinstance(top_p, Field)
    assert [bound.text for bound in top_p.bounds] == ["> 0, ≤ 1"]
    predict = document(types.PredictResponse)
    variants = [row.title for row in predict if isinstance(row, Variant)]
    assert variants == [
        "EmbeddingPrediction",
        "SimilarityPrediction",
        "ClassificationPrediction",
        "EntitiesPrediction",
        "AnswerPrediction",
    ]


BODIES = {
    "POST /v1/embeddings": types.EmbeddingsRequest,
    "POST /v1/rerank": types.RerankRequest,
    "POST /v1/chat/completions": types.ChatCompletionRequest,
    "POST /predict": types.PredictRequest,
    "POST /chat": types.ChatRequest,
    "POST /chat/stream": types.ChatRequest,
    "GET /ws": types.ChatRequest,
    "POST /login": types.LoginRequest,
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("operation", "model"), BODIES.items())
def test_every_example_is_what_its_route_accepts(
    operation: str, model: type[BaseModel], task: str
) -> None:
    body = examples.body(operation, task, "m")
    model.model_validate_json(json.dumps(body))


def test_a_route_that_takes_a_body_has_an_example(app: APIFlask) -> None:
    for path, methods in app.spec["paths"].items():
        for method, content in methods.items():
            if "requestBody" in content:
                assert f"{method.upper()} {path}" in BODIES


def test_the_examples_of_a_service_work(service: Service) -> None:
    page = service.client.get("/docs").text
    commands = [
        html.unescape(text) for text in re.findall(r"<pre[^>]*><code>(curl.*?)</code>", page, re.S)
    ]
    assert len(commands) >= 9
    for command in commands:
        words = shlex.split(command.replace("$KEY", "test-key"))
        path = words[1].removeprefix("http://localhost")
        headers = dict(
            words[index + 1].split(": ", 1) for index, word in enumerate(words) if word == "-H"
        )
        method = "POST" if "-d" in words else "GET"
        data = words[words.index("-d") + 1] if "-d" in words else None
        response = service.client.open(path, method=method, headers=headers, data=data)
        assert response.status_code == 200, command


def test_addresses_are_those_that_the_reader_uses(service: Service) -> None:
    headers = {"Host": "api.example.com", "X-Forwarded-Proto": "https"}
    page = service.client.get("/docs", headers=headers).text
    assert "https://api.example.com/v1/embeddings" in html.unescape(page)


def test_an_unknown_language_is_english(service: Service) -> None:
    assert '<html lang="en">' in service.client.get("/docs?lang=xx").text
    assert '<html lang="zh">' in service.client.get("/docs?lang=zh").text


def test_names_of_a_service_are_text_and_no_markup(engine: FakeEngine, snapshot: Path) -> None:
    service = Service(engine, snapshot, service={"served_name": "<b>&'\""}).load()
    try:
        page = service.client.get("/docs").text
        assert "<b>" not in page
        assert "&lt;b&gt;" in page
    finally:
        service.runtime.stop(timeout=5)
