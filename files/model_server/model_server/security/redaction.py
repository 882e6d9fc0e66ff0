# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Masks what identifies a person or opens a door: phone, identity card, e-mail, bank card, key.

Patterns find forms, not meanings: a name or an address of a street stays. What only looks like
such a number is masked too, since a wrong mask costs less than a missing one. Every pattern runs
in linear time, whatever a client sends.
"""

from __future__ import annotations

import re
import unicodedata

# Invisible characters between digits would hide a number from the patterns, not from a reader.
_INVISIBLE = dict.fromkeys([0xAD, *range(0x200B, 0x2010), *range(0x2060, 0x2065), 0xFEFF])
# A number that begins within the limit is read to its end before it is cut.
_OVERLAP = 512

_KEY = r"""
      (?<![A-Za-z0-9])[Bb]earer[ ]+[A-Za-z0-9._~+/-]{4,}+=*
    | (?<![A-Za-z0-9])eyJ[\w-]++\.[\w-]++(?:\.[\w-]*+)?
    | (?<![A-Za-z0-9])(?:sk|pk|rk|ak)[_-][A-Za-z0-9_-]{8,}+
    | (?<![A-Za-z0-9])(?:hf_|gh[oprsu]_|glpat-|xox[a-z]-|AKIA|LTAI)[A-Za-z0-9_-]{8,}+
    | (?<![A-Za-z0-9+/_-])(?=[A-Za-z+/_-]*+\d)[A-Za-z0-9+/_-]{32,}+={0,2}
"""
_EMAIL = r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]++@[A-Za-z0-9-]++(?:\.[A-Za-z0-9-]++)++"
# GB 11643: region, date of birth, sequence, check digit; a mistyped check digit is masked too.
_IDENTITY = r"""
    (?<!\d)[1-9]\d{5}[ -]?
    (?:
        (?:18|19|20)\d\d[ -]?(?:0[1-9]|1[0-2])[ -]?(?:0[1-9]|[12]\d|3[01])[ -]?\d{3}[\dXx]
      | \d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}
    )
    (?!\d)
"""
_PHONE = r"""
      (?<!\d)(?:(?:\+|00)?86[ -]?)?1[3-9]\d(?:[ -]?\d{4}){2}(?!\d)
    | (?<![\d+])(?:\+|(?<!\d)00(?=[1-9]))(?:[ ().-]{0,2}\d){7,15}(?!\d)
    | (?<!\d)0\d{2,3}[ -]\d{7,8}(?!\d)
"""
_CARD = r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)"

_PATTERN = re.compile(
    f"(?P<key>{_KEY})|(?P<email>{_EMAIL})|(?P<identity>{_IDENTITY})|(?P<phone>{_PHONE})"
    f"|(?P<card>{_CARD})",
    re.VERBOSE,
)


def mask(text: str, limit: int) -> str:
    """Return the first `limit` characters, with `[phone]` and the like in place of what was found.

    Full-width and other forms of a character are made plain first (NFKC). An ellipsis stands for
    what was cut.
    """
    plain = unicodedata.normalize("NFKC", text[: limit + _OVERLAP].translate(_INVISIBLE))
    kept: list[str] = []
    end = position = 0
    while (match := _PATTERN.search(plain, position)) and match.start() < limit:
        if match.lastgroup == "card" and not _luhn(match[0]):
            position = match.start() + 1
            continue
        kept += [plain[end : match.start()], f"[{match.lastgroup}]"]
        end = position = match.end()
    kept.append(plain[end : max(end, limit)])
    if len(plain) > max(end, limit) or len(text) > limit + _OVERLAP:
        kept.append("…")
    return "".join(kept)


def _luhn(text: str) -> bool:
    """Whether the digits carry the check digit of a bank card (ISO/IEC 7812)."""
    digits = [int(character) for character in text if character.isdigit()]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + doubled) % 10 == 0
