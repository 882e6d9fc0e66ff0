# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""`/conversations`: what a client sees and deletes of its own."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apiflask import APIFlask

from fakes import FakeEngine
from model_server.app import KEEPERS, create_app
from model_server.credentials import ApiKey, Credentials, EncryptionKey, LoadedSettings
from model_server.runtime import Runtime
from model_server.security.conversations import ConversationStore, KeptMessage
from model_server.settings import Settings
from support import AUTHORIZED, KEY, Service, error, key_hash, settings_content

OTHER = {"Authorization": "Bearer other-key"}


@pytest.fixture
def app(engine: FakeEngine, snapshot: Path, tmp_path: Path) -> Iterator[APIFlask]:
    """A service that keeps conversations, with the keys of two clients."""
    content = settings_content(snapshot, conversations={"file": str(tmp_path / "kept.db")})
    settings = Settings.model_validate_json(json.dumps(content))
    credentials = Credentials(
        api_keys=[
            ApiKey(name="demo", sha256=key_hash(KEY)),
            ApiKey(name="other", sha256=key_hash("other-key")),
        ],
        conversation_keys=[
            EncryptionKey(version="1", key=base64.b64encode(bytes(32)).decode()),
        ],
    )
    loaded = LoadedSettings(settings=settings, credentials=credentials)
    app = create_app(loaded, Runtime(settings, create_engine=lambda name, purpose: engine))
    yield app
    for keeper in app.extensions[KEEPERS]:
        keeper.close()


@pytest.fixture
def client(app: APIFlask) -> Any:
    return app.test_client()


@pytest.fixture
def store(app: APIFlask) -> ConversationStore:
    (store,) = app.extensions[KEEPERS]
    assert isinstance(store, ConversationStore)
    return store


def test_a_client_sees_and_deletes_its_own(client: Any, store: ConversationStore) -> None:
    turn = [KeptMessage("user", "hello"), KeptMessage("assistant", "hi")]
    first, second = (store.append("demo", None, turn) for _turn in range(2))
    store.append("other", None, turn)
    listed = client.get("/conversations", headers=AUTHORIZED).json["conversations"]
    assert {one["id"] for one in listed} == {first, second}
    assert listed[0]["messages"] == 2
    assert listed[0]["created"] <= listed[0]["updated"]

    error(client.delete(f"/conversations/{first}", headers=OTHER), 404, "conversation_not_found")
    answer = client.delete(f"/conversations/{first}", headers=AUTHORIZED)
    assert (answer.status_code, answer.json) == (200, {"deleted": 1})
    again = client.delete(f"/conversations/{first}", headers=AUTHORIZED)
    error(again, 404, "conversation_not_found")
    assert client.delete("/conversations", headers=AUTHORIZED).json == {"deleted": 1}
    assert client.delete("/conversations", headers=AUTHORIZED).json == {"deleted": 0}
    assert len(store.summaries("other")) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/conversations"), ("DELETE", "/conversations"), ("DELETE", "/conversations/x")],
)
def test_a_key_is_needed(client: Any, method: str, path: str) -> None:
    error(client.open(path, method=method), 401, "invalid_api_key")


def test_a_service_that_keeps_none_has_no_such_path(service: Service, tmp_path: Path) -> None:
    for method in ("GET", "DELETE"):
        answer = service.client.open("/conversations", method=method, headers=AUTHORIZED)
        error(answer, 404, "route_not_found")
    assert service.app.extensions[KEEPERS] == ()
    assert [file.name for file in tmp_path.iterdir()] == ["snapshot"]


@pytest.mark.parametrize("identifier", ["x", "%00", "%ED%A0%80", "'%20OR%201=1--", "0" * 2000])
def test_any_identifier_can_be_asked_for(client: Any, identifier: str) -> None:
    answer = client.delete(f"/conversations/{identifier}", headers=AUTHORIZED)
    error(answer, 404, "conversation_not_found")
