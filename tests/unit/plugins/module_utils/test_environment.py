# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Environments: named by what they are made from, present only when everything agrees.

The packages come from a wheel that the test writes, so that no index is needed.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import zipfile

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._environment import (
    STAMP,
    Environment,
    EnvironmentFailed,
    Index,
    digest,
    probe,
    requirements,
)


def write_wheel(folder, name, version, *metadata):
    """Write a wheel of one module; ``metadata`` are further lines of its description."""
    info = f"{name}-{version}.dist-info"
    described = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *metadata]
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", "answer = 42\n")
        archive.writestr(f"{info}/METADATA", "\n".join(described) + "\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(
            f"{info}/RECORD",
            "".join(f"{path},,\n" for path in (f"{name}.py", f"{info}/METADATA", f"{info}/WHEEL")),
        )


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    write_wheel(folder, "toy", "1.0", "Provides-Extra: more")
    write_wheel(folder, "toy", "2.0", "Provides-Extra: more")
    write_wheel(folder, "needy", "1.0", "Requires-Dist: toy[more]>=1.0")
    return folder


def lock_of(wheels, *pins):
    lines = ["# made by a test"]
    for name, version in pins or [("toy", "1.0")]:
        wheel = wheels / f"{name}-{version}-py3-none-any.whl"
        sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines.append(f"{name}=={version} --hash=sha256:{sha256}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def interpreter():
    found = probe(sys.executable)
    assert found is not None
    return found


@pytest.fixture
def index(wheels, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return Index(find_links=[str(wheels)])


def test_comments_do_not_change_the_digest(interpreter):
    assert digest("# a\ntoy==1.0\n", interpreter, "cpu") == digest(
        "toy==1.0  # b\n\n", interpreter, "cpu"
    )
    assert digest("toy==1.0\n", interpreter, "cpu") != digest("toy==1.0\n", interpreter, "cuda")
    assert requirements("# a\n\ntoy==1.0 \\\n    --hash=sha256:1 # c\n") == [
        "toy==1.0 \\",
        "--hash=sha256:1",
    ]


def test_no_interpreter_is_no_error():
    assert probe("python0.0") is None


def test_an_environment_is_built_once_and_checked(tmp_path, wheels, interpreter, index):
    made = Environment(str(tmp_path), lock_of(wheels), interpreter, "cpu", ["toy"])
    assert made.defect() == "absent"
    made.build(index)
    assert made.defect() == ""

    os.unlink(
        os.path.join(made.path, "lib", f"python{interpreter.version}", "site-packages", "toy.py")
    )
    assert "No module named 'toy'" in made.defect()

    made.build(index)
    stamp_file = os.path.join(made.path, STAMP)
    with open(stamp_file, encoding="utf-8") as file:
        stamp = json.load(file)
    with open(stamp_file, "w", encoding="utf-8") as file:
        json.dump({**stamp, "digest": "0" * 16}, file)
    assert made.defect() == "its stamp is of another environment"

    os.unlink(stamp_file)
    assert made.defect().startswith("unfinished")


def test_a_wrong_hash_stops_and_leaves_nothing(tmp_path, wheels, interpreter, index):
    made = Environment(
        str(tmp_path), f"toy==1.0 --hash=sha256:{'0' * 64}\n", interpreter, "cpu", ["toy"]
    )
    with pytest.raises(EnvironmentFailed, match="(?i)hash"):
        made.build(index)
    assert os.listdir(tmp_path) == []


def test_a_missing_import_stops_and_leaves_nothing(tmp_path, wheels, interpreter, index):
    made = Environment(str(tmp_path), lock_of(wheels), interpreter, "cpu", ["nothing_of_this_name"])
    with pytest.raises(EnvironmentFailed, match="nothing_of_this_name"):
        made.build(index)
    assert os.listdir(tmp_path) == []


def test_a_lock_still_fits_when_the_index_has_something_newer(tmp_path, wheels, interpreter, index):
    lock = lock_of(wheels, ("needy", "1.0"), ("toy", "1.0"))
    made = Environment(str(tmp_path), lock, interpreter, "cpu", ["needy", "toy"])
    made.build(index)
    assert made.defect() == ""


def test_a_lock_that_is_not_whole_stops_and_leaves_nothing(tmp_path, wheels, interpreter, index):
    lock = lock_of(wheels, ("needy", "1.0"))
    made = Environment(str(tmp_path), lock, interpreter, "cpu", ["needy"])
    with pytest.raises(EnvironmentFailed, match="needy 1.0 requires toy"):
        made.build(index)
    assert os.listdir(tmp_path) == []


def test_an_empty_lock_is_refused(tmp_path, interpreter):
    with pytest.raises(EnvironmentFailed, match="lists no package"):
        Environment(str(tmp_path), "# nothing\n", interpreter, "cpu", [])


def test_empty_index_settings_leave_pip_alone():
    assert Index().arguments() == []
    assert Index(url="https://a", extra_urls=["https://b", ""]).arguments() == [
        "--index-url",
        "https://a",
        "--extra-index-url",
        "https://b",
    ]
