# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords that Nginx asks for: hashed as libcrypt does, kept, named but never shown."""

from __future__ import annotations

import itertools
import shutil
import subprocess

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._basic_auth import (
    password_file,
    password_problems,
)
from ansible_collections.modelops.serving.plugins.module_utils._declaration import (
    DeclarationError,
    normalise,
)
from ansible_collections.modelops.serving.plugins.module_utils._secrets import secret_problems
from ansible_collections.modelops.serving.plugins.module_utils._sha512_crypt import sha512_crypt

DECLARED = {
    "model": {"source": "package", "id": "tiny", "revision": "1"},
    "domain": "tiny.example.com",
}
PASSWORDS = {"ada": "the first programmer", "bob": "correct horse"}


def service(**changes):
    return normalise({"tiny": {**DECLARED, "basic_auth": ["ada", "bob"], **changes}})["tiny"]


def rendered(passwords, current="", salts="xyz"):
    salt = itertools.cycle(letter * 16 for letter in salts)
    return password_file(service(), {"basic_passwords": passwords}, current, lambda: next(salt))


def test_the_digest_is_that_of_the_specification():
    assert sha512_crypt(b"Hello world!", "saltstring") == (
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEd"
        "FCoEOfaS35inz1"
    )


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to compare with")
@pytest.mark.parametrize("length", [1, 16, 63, 64, 65, 150])
def test_the_digest_is_that_of_openssl(length):
    password = ("pässword" * 20)[:length]
    command = ["openssl", "passwd", "-6", "-salt", "abcdefgh/.", "-stdin"]
    done = subprocess.run(command, input=password.encode(), capture_output=True, check=True)
    assert sha512_crypt(password.encode(), "abcdefgh/.") == done.stdout.decode().strip()


def test_a_file_stays_as_it_is_until_a_password_changes():
    first = rendered(PASSWORDS, salts="ab")
    assert [line.split(":")[0] for line in first.splitlines()] == ["ada", "bob"]
    assert rendered(PASSWORDS, first, salts="cd") == first
    changed = rendered({**PASSWORDS, "bob": "another horse"}, first, salts="cd")
    assert changed.splitlines()[0] == first.splitlines()[0]
    assert changed.splitlines()[1].startswith("bob:$6$cccc")


@pytest.mark.parametrize("current", ["ada:{PLAIN}x", "ada:$6$$", "# a comment", "no colon", "\0"])
def test_a_file_by_hand_is_replaced(current):
    assert rendered(PASSWORDS, current) == rendered(PASSWORDS)


@pytest.mark.parametrize(
    ("passwords", "said"),
    [
        ({"ada": PASSWORDS["ada"]}, "basic_passwords.bob is None: give the password"),
        ({**PASSWORDS, "eve": "x"}, "basic_passwords.eve is a password for nobody"),
        ({**PASSWORDS, "bob": "secret"}, "basic_passwords.bob is too short: give at least 12"),
        ({**PASSWORDS, "bob": "two\nlines and more"}, "a character that no client can send"),
        (["ada"], "is no mapping"),
    ],
)
def test_what_is_wrong_is_named_and_not_shown(passwords, said):
    found = list(password_problems(service(), {"basic_passwords": passwords}))
    assert len(found) == 1 and said in found[0] and "secret" not in found[0].replace("_secrets", "")
    own = {"api_keys": {"ops": "key"}, "basic_passwords": passwords}
    assert secret_problems({"tiny": service()}, {"tiny": own}) == found
    with pytest.raises(ValueError, match="basic_passwords"):
        password_file(service(), {"basic_passwords": passwords})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"basic_auth": ["a:b"]}, "'a:b' is no name"),
        ({"basic_auth": ["default"]}, "no word of Nginx's"),
        ({"basic_auth": ["ada", "ada"]}, "comes twice"),
        ({"basic_auth": "ada"}, "give a list"),
        ({"authentication": {"methods": ["api_key", "jwt"]}}, "leave jwt out"),
    ],
)
def test_names_that_cannot_work_are_refused(changes, said):
    with pytest.raises(DeclarationError) as caught:
        service(**changes)
    assert "model_services.tiny.basic_auth" in str(caught.value) and said in str(caught.value)
