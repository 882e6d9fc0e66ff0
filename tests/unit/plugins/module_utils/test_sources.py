# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sources that speak HTTP, against the test hub (a stand-in, see molecule/shared/hub)."""

from __future__ import annotations

import hashlib

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._download import Expected, download
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._hashing import FileDigest
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    make_source,
    write,
)

KINDS = ["modelscope", "huggingface", "http"]
WEIGHTS = "model.safetensors"


@pytest.fixture
def hub(hub_root, model_hub, model):
    """The test hub with a public and a private copy of the tiny model."""
    model["docs/a name & [odd] +.txt"] = b"odd"
    for name in ("name", "private-name"):
        write(hub_root / "owner" / name, model)
    return model_hub


def source_of(hub, kind, **options):
    endpoint = hub.url + ("/store" if kind == "http" else "")
    return make_source(kind, endpoint, **options)


def fetch(source, item, folder):
    return download(
        item.path,
        lambda offset: source.open(item.path, offset),
        str(folder / item.path),
        Expected(item.size, item.hash),
        source.backoff(),
    )


def fetch_all(source, folder):
    return {item.path: fetch(source, item, folder) for item in source.list().files}


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_listed_with_what_is_known_and_arrive(hub, kind, model, tmp_path):
    source = source_of(hub, kind)
    listing = source.list()
    assert {item.path: item.size for item in listing.files} == {p: len(d) for p, d in model.items()}
    for item in listing.files:
        digest = FileDigest(item.size)
        digest.update(model[item.path])
        assert item.hash.value == digest.value(item.hash.kind)
    kinds = {item.path: item.hash.kind for item in listing.files}
    assert kinds[WEIGHTS] == "sha256"
    assert kinds["config.json"] == ("git_sha1" if kind == "huggingface" else "sha256")
    fetch_all(source, tmp_path)
    assert {path: (tmp_path / path).read_bytes() for path in model} == model


def test_a_tag_resolves_to_a_commit(hub):
    commits = {kind: source_of(hub, kind).list().commit for kind in KINDS}
    assert len(set(commits.values())) == 1
    assert len(commits["huggingface"]) == 40


@pytest.mark.parametrize("kind", KINDS)
def test_the_token_opens_private_models_and_stays_with_its_host(hub, kind, tmp_path):
    with pytest.raises(ModelError) as caught:
        source_of(hub, kind, id="owner/private-name").list()
    assert caught.value.code in ("not_found", "access_denied")
    hub.journal.clear()
    fetch_all(source_of(hub, kind, id="owner/private-name", token=hub.token), tmp_path)
    assert hub.journal.token_hosts() == ["127.0.0.1"]
    if kind != "http":  # large files came from the second host, without it
        assert hub.journal.records(host="localhost")


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_model_revision_or_file_is_said(hub, kind):
    with pytest.raises(ModelError) as caught:
        source_of(hub, kind, id="owner/absent").list()
    # Hugging Face does not tell strangers which models exist.
    assert caught.value.code == ("access_denied" if kind == "huggingface" else "not_found")
    with pytest.raises(ModelError) as caught:
        source_of(hub, kind, revision="v9").list()
    # A plain web server knows files only.
    assert caught.value.code == ("not_found" if kind == "http" else "revision_not_found")
    source = source_of(hub, kind)
    with pytest.raises(ModelError) as caught:
        source.open("absent.txt")
    assert caught.value.code == "not_found"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["cut", "stall", "status_500"])
def test_faults_that_pass_are_survived(hub, kind, fault, model, tmp_path):
    hub.faults.add(fault, WEIGHTS, count=2)
    done = fetch_all(source_of(hub, kind, timeout=0.5), tmp_path)
    assert (tmp_path / WEIGHTS).read_bytes() == model[WEIGHTS]
    assert hub.faults.armed() == []
    if fault == "cut":
        assert done[WEIGHTS].received == len(model[WEIGHTS])


@pytest.mark.parametrize("kind", KINDS)
def test_a_listing_that_fails_once_is_asked_again(hub, kind):
    hub.faults.add("status_500", "@listing", count=2)
    assert source_of(hub, kind).list().files
    hub.faults.add("status_403", "@listing")
    with pytest.raises(ModelError) as caught:
        source_of(hub, kind).list()
    assert caught.value.code == "access_denied"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("status_500", "network_error"),
        ("status_403", "access_denied"),
        ("stall", "network_error"),
        ("wrong_size", "size_mismatch"),
        ("corrupt", "hash_mismatch"),
    ],
)
def test_faults_that_stay_are_refused(hub, kind, fault, code, tmp_path):
    hub.faults.add(fault, WEIGHTS, count=-1)
    source = source_of(hub, kind, retries=1, timeout=0.5)
    item = next(item for item in source.list().files if item.path == WEIGHTS)
    if fault == "stall":  # each attempt makes progress, so let nothing come
        hub.faults.add("no_range", WEIGHTS, count=-1)
    with pytest.raises(ModelError) as caught:
        fetch(source, item, tmp_path)
    assert caught.value.code == code
    assert not (tmp_path / WEIGHTS).exists()
    if kind != "http" and fault == "status_403":
        assert "sent on to the host localhost" in caught.value.message


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_without_ranges_begins_anew(hub, kind, model, tmp_path):
    hub.faults.add("cut", WEIGHTS)
    hub.faults.add("no_range", WEIGHTS)
    fetch_all(source_of(hub, kind), tmp_path)
    assert (tmp_path / WEIGHTS).read_bytes() == model[WEIGHTS]


@pytest.mark.parametrize("kind", KINDS)
def test_corruption_that_passes_is_healed(hub, kind, model, tmp_path):
    hub.faults.add("corrupt", WEIGHTS)
    fetch_all(source_of(hub, kind), tmp_path)
    assert (tmp_path / WEIGHTS).read_bytes() == model[WEIGHTS]


@pytest.mark.parametrize("kind", KINDS)
def test_a_subfolder_is_a_model_of_its_own(hub, kind, hub_root, model, tmp_path):
    nested = {f"deep/er/{path}": data for path, data in model.items()}
    write(hub_root / "owner" / "name", nested)
    source = source_of(hub, kind, subfolder="deep/er")
    assert {item.path for item in source.list().files} == set(model)
    fetch_all(source, tmp_path)
    assert {path: (tmp_path / path).read_bytes() for path in model} == model


def test_a_listing_that_modelscope_cuts_is_walked(hub, hub_root):
    many = {f"data/{n // 1600}/{n:05}.txt": b"" for n in range(3200)}
    write(hub_root / "owner" / "many", many)
    source = source_of(hub, "modelscope", id="owner/many", timeout=30)
    assert {item.path for item in source.list().files} == set(many)
    write(hub_root / "owner" / "flat", {f"{n:05}.txt": b"" for n in range(3001)})
    with pytest.raises(ModelError, match="3000 or more entries in the folder '/'"):
        source_of(hub, "modelscope", id="owner/flat", timeout=30).list()


def test_huggingface_pages_are_followed(serve):
    commit = "c" * 40

    def answer(path, _headers):
        if "/revision/" in path:
            return 200, {}, f'{{"sha": "{commit}"}}'.encode()
        entry = b'[{"type": "file", "path": "%s", "size": 1, "oid": "' + b"d" * 40 + b'"}]'
        if "cursor" in path:
            return 200, {}, entry % b"b.txt"
        link = f'<{path}&cursor=x>; rel="next"'
        return 200, {"link": link, "content-type": "application/json"}, entry % b"a.txt"

    url, _seen = serve(answer)
    listing = make_source("huggingface", url).list()
    assert [item.path for item in listing.files] == ["a.txt", "b.txt"]
    assert listing.commit == commit


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("modelscope", b'{"Code": 200, "Data": null, "Message": "no"}'),
        ("modelscope", b'{"Data": {"Files": ["x"]}}'),
        ("modelscope", b"[]"),
        ("modelscope", b'{"Data": {"Files": [{"Type": "blob", "Path": "../x", "Size": 1}]}}'),
        ("modelscope", b'{"Data": {"Files": [{"Type": "blob", "Path": "/x", "Size": 1}]}}'),
        ("huggingface", b"[]"),
        ("huggingface", b'{"sha": "main"}'),
        ("huggingface", b"<html>"),
        ("package", b'{"files": null}'),
    ],
)
def test_an_answer_of_another_kind_is_said(serve, kind, body):
    url, _seen = serve(lambda _path, _headers: (200, {"Content-Type": "application/json"}, body))
    with pytest.raises(ModelError) as caught:
        make_source(kind, url).list()
    assert caught.value.code == "listing_invalid"


def test_the_manifest_of_another_model_is_refused(hub, serve):
    url, _seen = serve(
        lambda _path, _headers: (
            200,
            {},
            b'{"lock_version": 1, "source": "http", "id": "a/b", "revision": "v", "commit": "c",'
            b'"files": [{"path": "x", "size": 0, "sha256": "%s"}]}'
            % hashlib.sha256().hexdigest().encode(),
        )
    )
    with pytest.raises(ModelError, match="manifest of a/b, not of owner/name"):
        make_source("http", url).list()


def test_the_revisions_that_there_are_and_the_nearest_are_named(hub):
    with pytest.raises(
        ModelError, match=r"it has v1\.0\.0, master\. Did you mean 'v1\.0\.0'\?"
    ) as caught:
        source_of(hub, "modelscope", revision="v1.0.1").list()
    assert caught.value.details["revisions"] == ["v1.0.0", "master"]


@pytest.mark.parametrize("kind", ["modelscope", "huggingface"])
def test_a_commit_that_does_not_exist_is_no_revision(hub, kind):
    with pytest.raises(ModelError) as caught:
        source_of(hub, kind, revision="0" * 40).list()
    assert caught.value.code == "revision_not_found"


def test_a_revision_that_vanished_since_it_was_locked_is_said(hub):
    with pytest.raises(ModelError) as caught:
        source_of(hub, "huggingface", revision="v9").open("config.json")
    assert caught.value.code == "revision_not_found"
