# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives are not trusted; folders and archives of the same files are the same model."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._archive import Archive
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._hashing import sha256_file
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    lock_of,
    make_source,
    write,
)


def zip_of(path, files, prefix=""):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(prefix + name, data)
    return path


def tar_of(path, files, prefix="", mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(prefix + name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def contents(source):
    listing = source.list()
    return {item.path: source.open(item.path).read(10_000_000) for item in listing.files}


@pytest.mark.parametrize("prefix", ["", "./", "name/", "owner/name/"])
@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_one_nested_folder_is_flattened(tmp_path, model, make, prefix):
    archive = make(tmp_path / "model", model, prefix)
    assert contents(make_source("path", archive)) == model


@pytest.mark.parametrize("prefix", ["", "name/", "owner/name/"])
def test_a_folder_is_flattened_too(tmp_path, model, prefix):
    write(tmp_path / "m", {prefix + path: data for path, data in model.items()})
    assert contents(make_source("path", tmp_path / "m")) == model


def test_two_models_need_a_name(tmp_path, model):
    both = {f"{folder}/{path}": data for folder in "ab" for path, data in model.items()}
    archive = zip_of(tmp_path / "model.zip", both)
    with pytest.raises(ModelError, match="a, b. Name one as subfolder"):
        make_source("path", archive).list()
    assert contents(make_source("path", archive, subfolder="b/")) == model


def test_members_open_at_an_offset(tmp_path, model):
    for archive in (
        Archive(str(zip_of(tmp_path / "z", model))),
        Archive(str(tar_of(tmp_path / "t", model))),
    ):
        stream = archive.open("model.safetensors", 300_000)
        assert (stream.offset, stream.total) == (300_000, len(model["model.safetensors"]))
        assert stream.read(5) == model["model.safetensors"][300_000:300_005]
        stream.close()
        with pytest.raises(ModelError, match="no file 'absent'"):
            archive.open("absent")


def unsafe_zip(path, name, mode=stat.S_IFREG, flag=0):
    info = zipfile.ZipInfo(name)
    info.external_attr = (mode | 0o644) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, b"x")
        archive.filelist[0].flag_bits |= flag
    return path


def unsafe_tar(path, name, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = "/etc/passwd"
    with tarfile.open(path, "w") as archive:
        archive.addfile(info)
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: unsafe_zip(p, "/etc/x"), "unsafe name"),
        (lambda p: unsafe_zip(p, "../x"), "unsafe name"),
        (lambda p: unsafe_zip(p, "a/../../x"), "unsafe name"),
        (lambda p: unsafe_zip(p, "../x/"), "unsafe name"),
        (lambda p: unsafe_zip(p, "a\nb"), "unsafe name"),
        (lambda p: unsafe_zip(p, "link", stat.S_IFLNK), "link or a device"),
        (lambda p: unsafe_zip(p, "device", stat.S_IFCHR), "link or a device"),
        (lambda p: unsafe_zip(p, "x", flag=1), "encrypted"),
        (lambda p: unsafe_tar(p, "/etc/x"), "unsafe name"),
        (lambda p: unsafe_tar(p, "a/../../x"), "unsafe name"),
        (lambda p: unsafe_tar(p, "x", tarfile.SYMTYPE), "link or a device"),
        (lambda p: unsafe_tar(p, "x", tarfile.LNKTYPE), "link or a device"),
        (lambda p: unsafe_tar(p, "x", tarfile.CHRTYPE), "link or a device"),
        (lambda p: unsafe_tar(p, "x", tarfile.FIFOTYPE), "link or a device"),
        (lambda p: p.write_bytes(b"no archive at all") and p, "cannot be read as zip or tar"),
    ],
)
def test_what_must_not_be_extracted_is_refused(tmp_path, make, words):
    with pytest.raises(ModelError) as caught:
        Archive(str(make(tmp_path / "archive")))
    assert caught.value.code == "archive_invalid"
    assert words in caught.value.message


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_comes_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr("a", b"1")
        archive.writestr("./a", b"2")
    with pytest.raises(ModelError, match="has 'a' twice"):
        Archive(str(tmp_path / "z"))


def flipped(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


@pytest.mark.parametrize(
    ("make", "damage"),
    [
        (zip_of, flipped),
        (zip_of, lambda data: data[: len(data) // 2]),
        (tar_of, lambda data: data[: len(data) // 2]),
        (lambda p, f: tar_of(p, f, mode="w:bz2"), flipped),
        (lambda p, f: tar_of(p, f, mode="w:xz"), flipped),
    ],
)
def test_a_broken_archive_is_said(tmp_path, model, make, damage):
    path = make(tmp_path / "archive", {"model.safetensors": model["model.safetensors"]})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelError) as caught:
        stream = Archive(str(path)).open("model.safetensors")
        while stream.read(1 << 18):
            pass
    assert caught.value.code == "archive_invalid"


def test_an_archive_with_the_right_hash_proves_its_members(tmp_path, model):
    archive = zip_of(tmp_path / "model.zip", model)
    assert {item.hash.kind for item in make_source("path", archive).list().files} == {"none"}
    right = make_source("path", archive, archive_sha256=sha256_file(str(archive)))
    expected = {item["path"]: item["sha256"] for item in lock_of(model)["files"]}
    assert {item.path: item.hash.value for item in right.list().files} == expected
    with pytest.raises(ModelError, match="model.zip' has the sha256"):
        make_source("path", archive, archive_sha256="0" * 64).list()


def test_paths_that_cannot_be_a_model_are_said(tmp_path):
    with pytest.raises(ModelError) as caught:
        make_source("path", tmp_path / "absent").list()
    assert caught.value.code == "not_found"
    with pytest.raises(ModelError, match="is a folder"):
        make_source("path", tmp_path, archive_sha256="0" * 64).list()
    with pytest.raises(ModelError, match="subfolder is '../x'"):
        make_source("path", tmp_path, subfolder="../x")
