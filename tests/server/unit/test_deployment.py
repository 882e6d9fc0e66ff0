# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What the collection writes on a host is what the server reads: settings and secrets."""

from __future__ import annotations

import base64
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from werkzeug.security import check_password_hash

from model_server.credentials import CREDENTIALS_FILE, LoadedSettings, load_settings

ROOT = Path(__file__).resolve().parents[3]
GIB = 2**30
AES_KEY = base64.b64encode(bytes(32)).decode()
SECRETS = {
    "api_keys": {
        "ci": {
            "key": "a key",
            "created": "2026-10-01",
            "previous": {"key": "the one before", "expires": "2026-10-08"},
        }
    },
    "users": {"ada": {"password": "lovelace", "created": "2026-01-02T03:04:05Z"}},
    "signing_keys": [{"kid": "2026-10", "secret": "s" * 32, "created": "2026-10-01"}],
    "conversation_keys": [{"version": "1", "key": AES_KEY}],
}
MODEL = {"source": "package", "id": "tiny", "revision": "1"}
LIMITS = {
    "methods": ["api_key", "jwt"],
    "api_keys": {"ci": {"expires": "2027-01-31", "scopes": ["chat"], "tokens_per_minute": 100}},
    "users": {"ada": {"concurrency": 2}},
    "issuer": "tiny issuer",
}
DECLARATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "embedding": ("embedding", "transformers", {}),
    "rerank": ("rerank", "transformers", {"allow_from": ["10.0.0.0/8"]}),
    "no audit": ("classification", "transformers", {"audit": {"enabled": False}}),
    "open to loopback": (
        "embedding",
        "transformers",
        {"authentication": {"methods": ["none"]}, "allow_from": ["127.0.0.0/8"]},
    ),
    "chat": (
        "chat",
        "llama_cpp",
        {
            "authentication": LIMITS,
            "chat": {"system_prompt": "Be short.", "stop": ["END"], "forbidden": ["(?i)ignore"]},
            "conversations": {"keep": True, "retention_days": 7},
            "engine": {"file": "model.gguf", "parallel": 2},
            "rate_limit": {"storage": "redis+unix:///run/modelops-redis/redis.sock"},
        },
    ),
    "upstream": (
        "chat",
        "upstream",
        {
            "model": {"source": None, "id": None, "revision": None},
            "engine": {"name": "upstream", "url": "http://127.0.0.1:8000/v1", "model": "qwen"},
        },
    ),
}


def deploy(tmp_path: Path, name: str) -> LoadedSettings:
    """Load what the collection makes of a declaration."""
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    collection = {
        room: importlib.import_module(f"plugins.module_utils.{room}")
        for room in ("_declaration", "_host", "_plan", "_planner", "_secrets", "_settings")
    }
    task, engine, changes = DECLARATIONS[name]
    declared = {"model": MODEL, "domain": "tiny.example.com", "task": task}
    merged = collection["_declaration"].merge(declared, changes)
    service = collection["_declaration"].normalise({"tiny": merged})["tiny"]
    host = collection["_host"].Host(8 * GIB, 2)
    places = service["engine"]["parallel"]
    wishes = collection["_plan"].Wishes(parallel=None if places == "auto" else places)
    plan = collection["_planner"].make_plan({}, host, wishes, task, engine)
    settings = collection["_settings"].release_settings(
        service, {"plan": plan, "task": task, "engine": engine}, "/models/tiny", "info"
    )
    settings["service"]["release"] = "0123456789ab"
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(settings), encoding="utf-8")
    assert collection["_secrets"].secret_problems({"tiny": service}, {"tiny": SECRETS}) == []
    rendered = collection["_secrets"].render_secrets(service, SECRETS, "key of the host" * 3)
    (tmp_path / CREDENTIALS_FILE).write_text(json.dumps(rendered), encoding="utf-8")
    return load_settings(file, tmp_path)


@pytest.mark.parametrize("name", DECLARATIONS)
def test_the_server_takes_what_the_collection_writes(tmp_path: Path, name: str) -> None:
    loaded = deploy(tmp_path, name)
    task, engine, _changes = DECLARATIONS[name]
    assert (loaded.settings.service.task, loaded.settings.engine.name) == (task, engine)
    assert loaded.settings.access.trusted_proxies == 1
    assert (loaded.settings.audit.file is None) == (name == "no audit")


def test_a_chat_has_all_that_was_declared(tmp_path: Path) -> None:
    loaded = deploy(tmp_path, "chat")
    settings, credentials = loaded.settings, loaded.credentials
    assert settings.chat.system_prompt == "Be short." and settings.chat.stop == ["END"]
    assert str(settings.conversations.file) == "/var/lib/modelops-tiny/conversations.sqlite3"
    assert str(settings.audit.file) == "/var/log/modelops/tiny/audit.jsonl"
    assert (settings.engine.file, settings.engine.parallel) == ("model.gguf", 2)
    assert settings.authentication.issuer == "tiny issuer"
    new, old = credentials.api_keys
    assert new.expires is not None and old.expires is not None and old.expires < new.expires
    assert (new.scopes, new.limits.tokens_per_minute) == (["chat"], 100)
    assert check_password_hash(credentials.users[0].password_hash, "lovelace")
    assert not check_password_hash(credentials.users[0].password_hash, "Lovelace")


def test_an_upstream_is_reached_where_it_was_declared(tmp_path: Path) -> None:
    settings = deploy(tmp_path, "upstream").settings
    assert settings.engine.upstream_url == "http://127.0.0.1:8000/v1"
    assert (settings.engine.upstream_model, settings.model.id) == ("qwen", "qwen")
