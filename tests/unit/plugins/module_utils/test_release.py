# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases: named by their content, whole or not there, repaired when touched."""

from __future__ import annotations

import base64
import io
import json
import os
import time
import zipfile

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._release import (
    Release,
    ReleaseFailed,
    Service,
    pack,
    unpack,
)


def release(root, code=b"x = 1\n", bill="", **settings):
    return Release(
        str(root),
        {"model_server/app.py": code},
        {"service": {"name": "a"}, **settings},
        "/env",
        "/snapshot",
        bill,
    )


def test_the_name_follows_from_the_content(tmp_path):
    assert release(tmp_path).name == release(tmp_path).name
    assert (
        len(
            {
                release(tmp_path).name,
                release(tmp_path, b"x = 2\n").name,
                release(tmp_path, limits=1).name,
            }
        )
        == 3
    )


def test_a_built_release_has_no_differences(tmp_path):
    made = release(tmp_path)
    assert made.differences() == ["absent"]
    made.build()
    assert made.differences() == []
    assert os.readlink(os.path.join(made.path, "model")) == "/snapshot"
    with open(os.path.join(made.path, "settings.json"), encoding="utf-8") as file:
        assert json.load(file)["service"] == {"name": "a", "release": made.name}


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (
            lambda path: (
                os.chmod(path + "/settings.json", 0o644),
                open(path + "/settings.json", "w").close(),
            ),
            "settings.json: changed",
        ),
        (
            lambda path: os.unlink(path + "/server/model_server/app.py"),
            "server/model_server/app.py: missing",
        ),
        (lambda path: open(path + "/server/extra.py", "w").close(), "server/extra.py: unexpected"),
        (
            lambda path: (os.unlink(path + "/model"), os.symlink("/other", path + "/model")),
            "model: does not lead to /snapshot",
        ),
    ],
)
def test_a_touched_release_is_noticed_and_written_anew(tmp_path, harm, said):
    made = release(tmp_path)
    made.build()
    harm(made.path)
    assert made.differences() == [said]
    made.build()
    assert made.differences() == []
    assert sorted(os.listdir(tmp_path / "releases")) == [made.name]


def test_a_slot_moves_in_one_step(tmp_path):
    service, first, second = (
        Service(str(tmp_path)),
        release(tmp_path),
        release(tmp_path, b"x = 2\n"),
    )
    for made in (first, second):
        made.build()
        service.place("blue", made)
        assert service.slots() == {"blue": made.name}
        assert os.path.isfile(tmp_path / "slots" / "blue" / "settings.json")


def test_pruning_keeps_the_newest_and_what_a_slot_uses(tmp_path):
    service, made = (
        Service(str(tmp_path)),
        [release(tmp_path, b"%d" % number) for number in range(5)],
    )
    for number, one in enumerate(made):
        one.build()
        os.utime(one.path, (time.time() + number, time.time() + number))
    service.place("green", made[0])
    assert service.surplus(2, made[4].name) == [made[1].name, made[2].name]


def test_packing_is_stable_and_leaves_byte_code_out(tmp_path):
    (tmp_path / "package" / "__pycache__").mkdir(parents=True)
    (tmp_path / "package" / "a.py").write_text("a = 1\n")
    (tmp_path / "package" / "__pycache__" / "a.pyc").write_bytes(b"junk")
    first = pack(str(tmp_path / "package"))
    os.utime(tmp_path / "package" / "a.py", (0, 0))
    assert pack(str(tmp_path / "package")) == first
    assert unpack(first) == {"package/a.py": b"a = 1\n"}


@pytest.mark.parametrize("name", ["../evil.py", "/etc/evil.py", "a/../../evil.py"])
def test_a_packed_path_that_leaves_the_folder_is_refused(name):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, b"")
    with pytest.raises(ReleaseFailed):
        unpack(base64.b64encode(buffer.getvalue()).decode())


def test_a_bill_of_materials_is_a_file_of_the_release_and_part_of_its_name(tmp_path):
    plain = release(tmp_path)
    billed = release(tmp_path, bill='{"bomFormat": "CycloneDX"}\n')
    assert billed.name != plain.name
    billed.build()
    path = os.path.join(billed.path, "model.cdx.json")
    with open(path, encoding="utf-8") as stream:
        assert stream.read() == '{"bomFormat": "CycloneDX"}\n'
    assert billed.differences() == []
    os.chmod(path, 0o644)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("{}")
    assert billed.differences() == ["model.cdx.json: changed"]
