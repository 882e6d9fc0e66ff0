# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords in the form ``$6$salt$digest`` (SHA-crypt, U. Drepper), which every libcrypt verifies.

Python's own module ``crypt`` is gone since 3.13. The names of the steps are those of the
specification.
"""

from __future__ import annotations

import hashlib

ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ROUNDS = 5000
_MOST_SALT = 16
_SIZE = 64
# How the 63 first bytes of a digest are grouped; each triple is the one before, turned by one.
_TRIPLES = [
    triple[-turn:] + triple[:-turn]
    for first in range(21)
    for triple, turn in [((first, first + 21, first + 42), -first % 3)]
]


def sha512_crypt(password: bytes, salt: str) -> str:
    """Return the password's line in a password file, with the default number of rounds."""
    salt = salt[:_MOST_SALT]
    salted = salt.encode()
    length = len(password)
    digest_b = hashlib.sha512(password + salted + password).digest()
    mixed = password + salted + _stretched(digest_b, length)
    bits = length
    while bits:
        mixed += digest_b if bits & 1 else password
        bits >>= 1
    digest = hashlib.sha512(mixed).digest()
    part_p = _stretched(hashlib.sha512(password * length).digest(), length)
    part_s = _stretched(hashlib.sha512(salted * (16 + digest[0])).digest(), len(salted))
    for index in range(ROUNDS):
        odd = index % 2
        mixed = part_p if odd else digest
        mixed += part_s if index % 3 else b""
        mixed += part_p if index % 7 else b""
        mixed += digest if odd else part_p
        digest = hashlib.sha512(mixed).digest()
    return f"$6${salt}${_encoded(digest)}"


def _stretched(digest: bytes, length: int) -> bytes:
    return (digest * (length // _SIZE + 1))[:length]


def _encoded(digest: bytes) -> str:
    text = ""
    for high, middle, low in _TRIPLES:
        text += _characters(digest[high] << 16 | digest[middle] << 8 | digest[low], 4)
    return text + _characters(digest[-1], 2)


def _characters(number: int, count: int) -> str:
    return "".join(ALPHABET[number >> 6 * index & 63] for index in range(count))
