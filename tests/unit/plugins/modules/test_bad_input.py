# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Input that cannot work: each has a code of its own, changes nothing and loses no snapshot."""

from __future__ import annotations

import os
from typing import Any

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.modules import (
    model_lock,
    model_snapshot,
    model_snapshot_info,
)
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    lock_of,
    weights,
    write,
)

MODEL = {"config.json": b'{"hidden_size": 4}', "model.safetensors": weights(1000)}
LOCK = lock_of(MODEL)


class Module:
    """A stand-in for AnsibleModule: what ``work`` takes from it."""

    check_mode = False
    _diff = True

    def __init__(self, work: Any, tmpdir: str, options: dict[str, Any]) -> None:
        self.params = {**DEFAULTS[work], **options}
        self.tmpdir = tmpdir

    def warn(self, message: str) -> None:
        """Show nothing: a file system without fs-verity is no concern of these tests."""


def defaults(module: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the defaults in the argument spec of ``module``."""
    seen: dict[str, Any] = {}
    monkeypatch.setattr(module, "AnsibleModule", lambda spec, **_options: seen.update(spec))
    monkeypatch.setattr(module, "run_module", lambda _module, _work: None)
    module.main()
    monkeypatch.undo()
    return {name: option.get("default") for name, option in seen.items()}


DEFAULTS: dict[Any, dict[str, Any]] = {
    module.work: defaults(module, pytest.MonkeyPatch())
    for module in (model_lock, model_snapshot, model_snapshot_info)
}


def everything(folder: Any) -> dict[str, tuple[Any, ...]]:
    """Return mode and inode of all below ``folder``, and time and bytes of files.

    The time of a folder changes when another run is kept out of it.
    """
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(parent, name)
            status = os.lstat(path)
            found[path] = (status.st_mode, status.st_ino)
            if name in files:
                with open(path, "rb") as stream:
                    found[path] += (status.st_mtime_ns, stream.read())
    return found


@pytest.fixture
def run(hub_root, model_hub, tmp_path):
    """Run a module's work on the model owner/name v1.0.0 with other options."""
    write(hub_root / "owner" / "name", MODEL)
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def call(work=model_snapshot.work, **options):
        known = {
            "source": "modelscope",
            "id": "owner/name",
            "revision": "v1.0.0",
            "endpoint": model_hub.url,
            "retries": 0,
            "store": str(tmp_path / "store"),
        }
        given = {**known, **options}
        return work(
            Module(work, str(scratch), {k: v for k, v in given.items() if k in DEFAULTS[work]})
        )

    call()
    return call


BAD = [
    ({"source": "modelscop"}, "unknown_source", "did you mean 'modelscope'?"),
    ({"source": "ftp"}, "unknown_source", "Choose one of http, huggingface"),
    ({"id": "name"}, "invalid_id", "owner/name"),
    ({"source": "huggingface", "id": "name"}, "invalid_id", "owner/name"),
    ({"id": "owner/name/more"}, "invalid_id", "owner/name"),
    ({"id": "owner/absent"}, "not_found", "Check source, id"),
    ({"revision": "v1.0.1"}, "revision_not_found", "Did you mean 'v1.0.0'?"),
    (
        {"source": "huggingface", "revision": "v1.0.1"},
        "revision_not_found",
        "not the revision 'v1.0.1'",
    ),
    ({"revision": "0" * 40}, "revision_not_found", "v1.0.0, master"),
    ({"revision": "main"}, "floating_revision", "Give a tag or a commit"),
    ({"revision": ""}, "floating_revision", "Give a tag or a commit"),
    ({"lock": {**LOCK, "id": "owner/other"}}, "lock_mismatch", "owner/other"),
    ({"lock": {**LOCK, "revision": "v2", "commit": "v2"}}, "lock_mismatch", "v2"),
    ({"lock": {**LOCK, "files": []}}, "invalid_lock", "at least one file"),
    ({"lock": {"files": LOCK["files"]}}, "invalid_lock", "lock_version"),
    *(
        ({"lock": {**LOCK, "files": [*LOCK["files"], {**LOCK["files"][0], "path": path}]}}, *more)
        for more in [("unsafe_path", "path")]
        for path in ("../config.json", "a/../../b", "/etc/passwd", "a\\b", "a\nb", "./a", "a//b")
    ),
]


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize(("options", "code", "says"), BAD)
def test_it_is_refused_by_its_own_code_and_nothing_changes(
    run, tmp_path, monkeypatch, options, code, says, check_mode
):
    before = everything(tmp_path / "store")
    monkeypatch.setattr(Module, "check_mode", check_mode)
    with pytest.raises(ModelError) as caught:
        run(**options)
    assert caught.value.code == code and says in caught.value.message
    assert everything(tmp_path / "store") == before
    assert not run()["changed"]


@pytest.mark.parametrize(("options", "code", "says"), [bad for bad in BAD if "lock" not in bad[0]])
def test_nothing_is_locked(run, tmp_path, options, code, says):
    dest = tmp_path / "model.yml"
    run(model_lock.work, dest=str(dest))
    text = dest.read_text(encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        run(model_lock.work, dest=str(dest), **options)
    assert caught.value.code == code and says in caught.value.message
    assert dest.read_text(encoding="utf-8") == text
    assert os.listdir(tmp_path / "scratch") == []


def test_a_wrong_lock_is_refused_though_the_snapshot_is_missing(run, tmp_path):
    """What is not there yet is not begun either."""
    with pytest.raises(ModelError):
        run(lock={**LOCK, "id": "owner/other"}, store=str(tmp_path / "other"))
    assert not (tmp_path / "other").exists()


def test_the_other_modules_know_the_sources_too(run, tmp_path):
    with pytest.raises(ModelError) as caught:
        run(model_snapshot_info.work, source="hugingface")
    assert caught.value.code == "unknown_source" and "'huggingface'" in caught.value.message
    with pytest.raises(ModelError) as caught:
        run(state="absent", source="modelscop")
    assert caught.value.code == "unknown_source"
    mirror = {"id": "", "revision": "", "subfolder": "", "archive_sha256": "", "token": ""}
    with pytest.raises(ModelError) as caught:
        run(lock=LOCK, mirrors=[{**mirror, "source": "htp", "endpoint": "https://a.example"}])
    assert caught.value.code == "unknown_source"
