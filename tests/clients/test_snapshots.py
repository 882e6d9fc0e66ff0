# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Snapshots that the hubs' own libraries fetch from the test hub, verified by us."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._outcome import Outcome
from ansible_collections.modelops.serving.plugins.module_utils._snapshot import Choice, Snapshot
from ansible_collections.modelops.serving.plugins.module_utils._store import Place
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    make_source,
    weights,
    write,
)
from hub import Hub

SOURCES = {"modelscope": "modelscope", "huggingface_hub": "huggingface"}
MODEL = {
    "config.json": b'{"model_type": "bert"}',
    "nested/a name with [odd] signs & +.txt": "词\n".encode(),
    "model.safetensors": weights(),
    "not wanted.txt": b"",
}
Fetch = Callable[..., Outcome]


@pytest.fixture
def fetch(clients_python: Path, hub_root: Path, model_hub: Hub, tmp_path: Path) -> Fetch:
    """Fetch owner/private-name into the store of one client, or with the built-in one."""
    write(hub_root / "owner" / "private-name", MODEL)

    def run(client: str, builtin: bool = False) -> Outcome:
        store = tmp_path / ("builtin" if builtin else "client")
        place = Place(str(store), SOURCES[client], "owner/private-name", "v1.0.0")
        source = make_source(
            place.source,
            model_hub.url,
            id=place.id,
            token=model_hub.token,
            work=place.archive,
            timeout=20,
        )
        choice = Choice(
            exclude=("not wanted.txt",),
            client="builtin" if builtin else client,
            client_python=str(clients_python),
        )
        return Snapshot(place, source, choice).present()

    return run


@pytest.mark.parametrize("client", SOURCES)
def test_a_client_and_the_builtin_one_make_the_same_snapshot(fetch: Fetch, client: str) -> None:
    by_client, builtin = fetch(client), fetch(client, builtin=True)
    assert by_client.manifest == builtin.manifest
    assert by_client.after == builtin.after
    assert by_client.fetched_bytes == builtin.fetched_bytes
    for path in by_client.after:
        assert Path(by_client.path, path).read_bytes() == MODEL[path]
    assert sorted(Path(by_client.path).parent.iterdir()) == [
        Path(by_client.path + suffix)
        for suffix in ("", ".manifest.json", ".proof.json", ".state.json")
    ]
    assert not fetch(client).changed


@pytest.mark.parametrize("client", SOURCES)
def test_bytes_that_went_wrong_on_the_way_are_refused(
    fetch: Fetch, model_hub: Hub, client: str
) -> None:
    """One client notices by itself, the other does not; neither gets anything into the store."""
    model_hub.faults.add("corrupt", "model.safetensors", count=-1)
    with pytest.raises(ModelError) as caught:
        fetch(client)
    assert (
        caught.value.code
        == {
            "modelscope": "client_failed",
            "huggingface_hub": "hash_mismatch",
        }[client]
    )
    assert model_hub.token not in caught.value.message + str(caught.value.details)
