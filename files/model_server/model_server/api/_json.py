# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Strict JSON: numbers that JSON lacks are neither read nor written."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from flask.json.provider import JSONProvider


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class StrictJSONProvider(JSONProvider):
    """JSON of RFC 8259; anything else raises ValueError."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """Serialise compactly and in UTF-8, refusing NaN and infinity."""
        text = json.dumps(obj, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        # A lone surrogate has no place in UTF-8; JSON can only escape it.
        return text if _is_utf8(text) else json.dumps(obj, allow_nan=False)

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Parse; too deep a nesting is a fault of the text, not of the server."""
        try:
            return json.loads(s, parse_constant=_refuse)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
