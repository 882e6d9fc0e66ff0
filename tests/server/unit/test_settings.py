# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Settings: what is refused, and what the refusal says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from model_server.__main__ import main
from model_server.credentials import from_environment, load_settings
from model_server.engines import ENCODERS, GENERATORS
from model_server.settings import (
    EngineSettings,
    Section,
    ServiceSettings,
    Settings,
    SettingsError,
    read_settings,
)
from model_server.tasks import REGISTRY as TASKS
from support import key_hash, settings_content


@pytest.fixture
def write(tmp_path: Path, snapshot: Path) -> Any:
    """Write a settings file with changed sections."""

    def write(**sections: Any) -> Path:
        file = tmp_path / "settings.json"
        file.write_text(json.dumps(settings_content(snapshot, **sections)))
        return file

    return write


def test_the_file_of_a_release_is_read_whole(write: Any, snapshot: Path) -> None:
    settings = read_settings(write())
    assert settings.model.path == snapshot
    assert settings.engine.max_tokens == 16
    assert settings.authentication.required


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"engine": {"thread": 3}}, "engine.thread: Extra inputs"),
        ({"engine": {"threads": "2"}}, "engine.threads: Input should be a valid integer"),
        ({"engine": {"threads": 0}}, "engine.threads: Input should be greater"),
        ({"engine": {"name": "onnx"}}, "engine.name: Input should be 'transformers'"),
        ({"service": {"task": "ner"}}, "service.task: Input should be 'embedding'"),
        ({"engine": {"name": "llama_cpp"}}, "can do nothing but chat"),
        ({"chat": {"forbidden": ["("]}}, "chat.forbidden.0: Value error, is not a regular"),
        ({"observability": {"canary_seconds": 200}}, "must exceed observability.canary_seconds"),
        (
            {"service": {"task": "chat"}, "limits": {"request_timeout_seconds": 150}},
            "and limits.request_timeout_seconds together",
        ),
        ({"engine": {"max_tokens": 65}}, "must not exceed batching.max_batch_tokens"),
        ({"batching": {"max_batch_tokens": 512}}, "must not exceed batching.max_queue_tokens"),
        ({"authentication": {"methods": ["api_key", "none"]}}, "cannot be combined"),
        ({"cache": {"size": 1}}, "cache: Extra inputs"),
    ],
)
def test_a_wrong_value_is_refused_by_name(write: Any, sections: Any, message: str) -> None:
    file = write(**sections)
    with pytest.raises(SettingsError) as caught:
        read_settings(file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_refusal_does_not_repeat_values(write: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(write(authentication={"api_key": "hunter2"}))
    assert "hunter2" not in str(caught.value)


def test_settings_cannot_be_changed(write: Any) -> None:
    settings = read_settings(write())
    with pytest.raises(ValueError, match="frozen"):
        settings.limits = settings.limits  # type: ignore[misc]


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[]"])
def test_what_is_not_a_settings_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "settings.json"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"settings\.json"):
        read_settings(file)


def test_keys_come_from_the_credentials_directory(write: Any, tmp_path: Path) -> None:
    keys = {"api_keys": [{"name": "demo", "sha256": key_hash("secret")}]}
    (tmp_path / "secrets.json").write_text(json.dumps(keys))
    loaded = load_settings(write(), tmp_path)
    assert [key.name for key in loaded.credentials.api_keys] == ["demo"]
    assert "sha256" not in repr(loaded)


@pytest.mark.parametrize(
    "keys", [{"keys": []}, {"api_keys": [{"name": "demo", "sha256": "secret"}]}, {}]
)
def test_useless_credentials_stop_the_start(write: Any, tmp_path: Path, keys: Any) -> None:
    (tmp_path / "secrets.json").write_text(json.dumps(keys))
    with pytest.raises(SettingsError, match=r"secrets\.json"):
        load_settings(write(), tmp_path)


def test_missing_credentials_stop_the_start(write: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="CREDENTIALS_DIRECTORY is not set"):
        load_settings(write(), None)
    with pytest.raises(SettingsError, match=r"secrets\.json: the settings require api_keys"):
        load_settings(write(), tmp_path)


def test_an_open_service_needs_no_credentials(write: Any) -> None:
    loaded = load_settings(write(authentication={"methods": ["none"]}), None)
    assert loaded.credentials.api_keys == []


def test_the_environment_names_the_file(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODEL_SERVER_SETTINGS", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(SettingsError, match="MODEL_SERVER_SETTINGS is not set"):
        from_environment()
    monkeypatch.setenv("MODEL_SERVER_SETTINGS", str(write(authentication={"methods": ["none"]})))
    assert from_environment().settings.service.name == "minilm"


def test_check_settings_tells_by_its_exit(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-settings", str(write())]) == 0
    assert main(["check-settings", str(write(engine={"threads": 0}))]) == 1
    assert "engine.threads" in capsys.readouterr().err


def test_the_schema_describes_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings-schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    for name, section in schema["$defs"].items():
        for key, value in section["properties"].items():
            assert value.get("description"), f"{name}.{key} has no description"
    assert set(schema["properties"]) == set(Settings.model_fields)


def test_every_section_refuses_unknown_keys() -> None:
    for section in Section.__subclasses__():
        assert section.model_config["extra"] == "forbid"
        assert section.model_config["frozen"]


def test_names_in_settings_are_those_of_the_registries() -> None:
    def allowed(section: type[Section], key: str) -> set[str]:
        return set(section.model_fields[key].annotation.__args__)  # type: ignore[union-attr]

    assert allowed(EngineSettings, "name") == {*ENCODERS, *GENERATORS}
    assert allowed(ServiceSettings, "task") == set(TASKS)
