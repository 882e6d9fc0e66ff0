# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""gunicorn ignores names that it does not know, silently; ours must all be known."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest
from gunicorn.config import Config

from support import settings_content


@pytest.fixture
def configuration(tmp_path: Path, snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    content = settings_content(snapshot, authentication={"methods": ["none"]})
    (tmp_path / "settings.json").write_text(json.dumps(content))
    monkeypatch.setenv("MODEL_SERVER_SETTINGS", str(tmp_path / "settings.json"))
    from model_server import gunicorn_conf

    return importlib.reload(gunicorn_conf)


def names(configuration: ModuleType) -> dict[str, object]:
    return {
        name: value
        for name, value in vars(configuration).items()
        if name.islower()
        and not name.startswith("_")
        and not isinstance(value, ModuleType)
        and getattr(value, "__module__", configuration.__name__) == configuration.__name__
        and name != "annotations"
    }


def test_every_name_is_a_setting_that_gunicorn_accepts(configuration: ModuleType) -> None:
    config = Config()
    chosen = names(configuration)
    assert "umask" in chosen
    assert "post_worker_init" in chosen
    for name, value in chosen.items():
        assert name in config.settings, f"gunicorn does not know {name}"
        config.set(name, value)


def test_the_model_is_loaded_once_and_after_the_fork(configuration: ModuleType) -> None:
    chosen = names(configuration)
    assert chosen["workers"] == 1
    assert chosen["worker_class"] == "gthread"
    assert "preload_app" not in chosen
    assert chosen["control_socket_disable"] is True
    assert chosen["umask"] == 0o117
    assert chosen["graceful_timeout"] == 5 + 5
    assert "OMP_NUM_THREADS=2" in chosen["raw_env"]  # type: ignore[operator]
