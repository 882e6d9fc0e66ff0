# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Client of the model server, sync and async.

    from model_server.client import Client

    with Client("https://minilm.example.com", api_key=key) as client:
        result = client.embed(["A man is playing the guitar."])

It needs httpx2 and pydantic, nothing of the server. The classes of errors are those of the
server's table, by the same names; `_errors` shows their tree.
"""

from __future__ import annotations

import logging

from . import _errors
from ._async_client import AsyncClient
from ._calls import ChatOptions
from ._client import Client
from ._errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ModelServerError,
    ResponseInvalid,
    VectorSpaceChanged,
)
from ._results import ChatAnswer, Embeddings
from ._stream import AsyncChatStream, ChatStream

_BY_NAME = {kind.__name__: kind for kind in _errors.BY_CODE.values()}

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncChatStream",
    "AsyncClient",
    "ChatAnswer",
    "ChatOptions",
    "ChatStream",
    "Client",
    "Embeddings",
    "ModelServerError",
    "ResponseInvalid",
    "VectorSpaceChanged",
    *_BY_NAME,
]

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> type[APIStatusError]:
    """Give the class of a row of the server's table."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted(__all__)
