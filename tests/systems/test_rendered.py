# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What the roles would write on each system is what its programs can read.

A template that needs a variable which ``contexts.py`` does not know fails here: add it there.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from contexts import OTHERS, SYSTEMS, System, rendered, templates
from nginx_files import statements
from unit_files import SUFFIXES, can_analyze, complaints, settings

TEMPLATES = tuple(templates())
UNITS = [pair for pair in TEMPLATES if Path(pair[1]).stem.endswith(SUFFIXES)]
NGINX = [pair for pair in TEMPLATES if pair[0] == "reverse_proxy" and ".conf" in pair[1]]
# In which version of nginx a directive came; older ones refuse it.
SINCE = {
    "http2": (1, 25, 1),
    "keepalive_time": (1, 19, 10),
    "proxy_cookie_flags": (1, 19, 3),
    "ssl_conf_command": (1, 19, 4),
    "ssl_reject_handshake": (1, 19, 4),
}


def version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split("."))


@pytest.mark.parametrize("system", SYSTEMS, ids=str)
def test_each_template_is_rendered(system: System) -> None:
    for role, template in TEMPLATES:
        text = rendered(role, template, system)
        assert text.endswith("\n") and "{{" not in text and "{%" not in text, template


@pytest.mark.parametrize("system", SYSTEMS, ids=str)
def test_units_parse(system: System) -> None:
    for role, template in UNITS:
        assert settings(rendered(role, template, system)), template


@pytest.mark.skipif(not can_analyze(), reason="this machine's systemd cannot look at files")
@pytest.mark.parametrize(("role", "template"), UNITS)
def test_systemd_has_nothing_to_say(role: str, template: str, tmp_path: Path) -> None:
    path = tmp_path / Path(template).stem
    path.write_text(rendered(role, template, SYSTEMS[0]), encoding="utf-8")
    assert complaints(path) == []


@pytest.mark.parametrize("system", (*SYSTEMS, *OTHERS), ids=str)
def test_nginx_reads_its_files(system: System) -> None:
    for role, template in NGINX:
        found = statements(rendered(role, template, system))
        known = version(system.nginx)
        assert [item for item in found if SINCE.get(item.name, (0,)) > known] == [], template
        listens = [item.arguments for item in found if item.name == "listen"]
        protocols = [item for item in found if item.name == "http2"]
        if template == "site.conf.j2":
            old_form = [words for words in listens if "http2" in words]
            secure = [words for words in listens if "ssl" in words]
            assert len(secure) == 4, "443 and the extra port, each in IPv4 and IPv6"
            modern = known >= SINCE["http2"]
            assert (old_form, len(protocols)) == (([], 1) if modern else (secure, 0))


@pytest.mark.parametrize("system", (*SYSTEMS, *OTHERS), ids=str)
def test_curves_are_those_that_openssl_knows(system: System) -> None:
    text = rendered("reverse_proxy", "tls.conf.j2", system)
    (curves,) = (item.arguments for item in statements(text) if item.name == "ssl_ecdh_curve")
    plain = "X25519:prime256v1:secp384r1"
    new = version(system.openssl) >= (3, 5)
    assert curves == (f"X25519MLKEM768:{plain}" if new else plain,)


@pytest.mark.parametrize("text", ["server {", "server { listen 80 }", "}", "a; ;", "a 'b;"])
def test_a_file_that_nginx_could_not_read_is_noticed(text: str) -> None:
    with pytest.raises(ValueError):
        statements(text)


@pytest.mark.parametrize("system", SYSTEMS, ids=str)
def test_shell_scripts_parse(system: System) -> None:
    scripts = [pair for pair in TEMPLATES if pair[1].endswith(".sh.j2")]
    assert scripts
    for role, template in scripts:
        text = rendered(role, template, system)
        assert text.startswith("#!/bin/sh")
        said = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True, check=False)
        assert (said.returncode, said.stderr) == (0, ""), template


def test_channels_are_named_where_redis_knows_them() -> None:
    rules = {system.version: rendered("redis", "users.acl.j2", system) for system in SYSTEMS}
    assert [name for name, text in rules.items() if "resetchannels" not in text] == ["22.04"]
