# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links in a folder that a model is taken from, and in what a client leaves behind."""

from __future__ import annotations

import os

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._archive import Folder
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._links import check_arrived
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    make_source,
    write,
)


@pytest.fixture
def cache(tmp_path):
    """A folder as a hub's client keeps it: names that link to blobs."""
    write(tmp_path / "outside", {"secret": b"s"})
    root = write(tmp_path / "cache", {"blobs/1": b"{}", "blobs/2": b"weights"})
    (root / "snapshots" / "c").mkdir(parents=True)
    (root / "snapshots" / "c" / "config.json").symlink_to("../../blobs/1")
    (root / "snapshots" / "c" / "more").symlink_to("../../blobs")
    return root


def refused(path, below=""):
    with pytest.raises(ModelError) as caught:
        Folder(str(path), below)
    assert caught.value.code == "unsafe_path"
    return caught.value


def test_links_inside_are_followed(cache):
    source = make_source("path", cache, subfolder="snapshots/c")
    assert {item.path for item in source.list().files} == {"config.json", "more/1", "more/2"}
    assert source.open("more/2").read(9) == b"weights"
    assert source.open("config.json").read(9) == b"{}"


@pytest.mark.parametrize("target", ["../outside/secret", "/etc/passwd", "../outside", "/"])
def test_links_that_lead_out_are_refused(cache, target):
    (cache / "x").symlink_to(target)
    error = refused(cache)
    assert error.details["path"] == "x"
    assert "leads out of it" in error.message and "cp -rL" in error.message


def test_a_link_beside_the_subfolder_is_not_its_business(cache):
    (cache / "x").symlink_to("/etc/passwd")
    assert "snapshots/c/config.json" in Folder(str(cache), "snapshots/c/").sizes
    (cache / "out").symlink_to("../outside")
    assert refused(cache, "out/").details["path"] == "out/"


def test_a_folder_with_a_similar_name_is_outside(cache, tmp_path):
    write(tmp_path / "cache2", {"a": b"a"})
    (cache / "x").symlink_to("../cache2/a")
    assert "leads out of it" in refused(cache).message


def test_loops_broken_links_and_pipes_are_refused(cache):
    (cache / "x").symlink_to(".")
    assert "a link to a folder that holds it" in refused(cache).message
    (cache / "x").unlink()
    (cache / "x").symlink_to("absent")
    assert "leads nowhere" in refused(cache).message
    (cache / "x").unlink()
    os.mkfifo(cache / "x")
    assert "no plain file" in refused(cache).message


def test_what_a_client_leaves_is_no_link(cache):
    check_arrived(str(cache), ["blobs/1", "absent/x", "blobs/1/x"])
    for path in ("snapshots/c/config.json", "snapshots/c/more/1"):
        with pytest.raises(ModelError) as caught:
            check_arrived(str(cache), ["blobs/1", path])
        assert caught.value.code == "unsafe_path"
