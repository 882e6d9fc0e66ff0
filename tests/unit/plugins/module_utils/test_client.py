# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hubs' own libraries as clients; a stand-in takes their place."""

from __future__ import annotations

import os
import sys

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._snapshot import (
    Choice,
    Snapshot,
)
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    contents,
    make_source,
    spoil,
)

CLIENT = """#!{python}
import json, os, sys
sys.argv.pop(0), sys.argv.pop(0)
asked = json.load(sys.stdin)
{body}
"""


@pytest.fixture
def stand_in(tmp_path):
    """Write a stand-in for an interpreter that has a client library."""

    def make(body):
        path = tmp_path / "python"
        path.write_text(CLIENT.format(python=sys.executable, body=body))
        path.chmod(0o755)
        return str(path)

    return make


FETCH = """
from urllib.request import urlopen
assert os.environ["HF_HUB_DISABLE_XET"] == "1"
folder = os.path.join(asked["folder"], {nested!r})
for pattern in asked["patterns"]:
    target = os.path.join(folder, pattern)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    url = os.environ["MODELSCOPE_ENDPOINT"] + "/api/v1/models/" + asked["id"] + "/repo?Revision="
    open(target, "wb").write(urlopen(url + asked["revision"] + "&FilePath=" + pattern).read())
os.makedirs(asked["folder"] + "/.msc", exist_ok=True)
open(asked["folder"] + "/.msc/index", "w").write("left behind")
"""


@pytest.mark.parametrize("nested", ["", "owner/name"])
def test_a_client_may_fetch_and_is_verified(present, place, model, stand_in, nested):
    client = {"client": "modelscope", "client_python": stand_in(FETCH.format(nested=nested))}
    outcome = present(**client)
    assert contents(place) == model
    assert outcome.fetched_bytes == sum(len(data) for data in model.values())
    spoil(place, "config.json")
    assert [item["path"] for item in present(**client).files] == ["config.json"]
    assert contents(place) == model


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (
            FETCH.format(nested="") + "open(folder + '/config.json', 'ab').write(b' ')",
            "size_mismatch",
        ),
        (
            FETCH.format(nested="") + "open(folder + '/config.json', 'r+b').write(b' ')",
            "hash_mismatch",
        ),
        ("pass", "file_missing"),
        ("sys.exit('no such model: ' + os.environ['HF_TOKEN'])", "client_failed"),
    ],
)
def test_a_client_is_not_trusted(hub, place, stand_in, body, code):
    choice = Choice(client="modelscope", client_python=stand_in(body))
    source = make_source("modelscope", hub.url, token="secret", work=place.archive)
    with pytest.raises(ModelError) as caught:
        Snapshot(place, source, choice).present()
    assert caught.value.code == code
    assert "secret" not in caught.value.message + str(caught.value.details)
    assert not os.path.lexists(place.path)


def test_a_client_for_another_source_or_nowhere_is_refused(present, stand_in):
    for choice in (
        {"client": "huggingface_hub", "client_python": stand_in("pass")},
        {"client": "modelscope", "client_python": "/absent"},
        {"client": "modelscope", "client_python": ""},
    ):
        with pytest.raises(ModelError) as caught:
            present(**choice)
        assert caught.value.code == "invalid_option"
