# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What the package is: its names, its two clients side by side, and what it needs."""

from __future__ import annotations

import ast
import inspect
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

import model_server.client as sdk
from model_server.client import AsyncClient, Client
from model_server.errors import TABLE

PACKAGE = Path(sdk.__file__).parent
FILES = sorted(PACKAGE.glob("*.py"))
OPERATIONS = [name for name in vars(Client) if not name.startswith("_")]


def test_all_is_what_is_public() -> None:
    modules = {file.stem for file in FILES}
    public = {name for name in vars(sdk) if not name.startswith("_")} - modules
    public -= {"annotations", "logging"}
    rows = {row.__name__ for row in TABLE}
    assert set(sdk.__all__) == public | rows
    assert len(sdk.__all__) == len(set(sdk.__all__))
    assert dir(sdk) == sorted(sdk.__all__)
    for name in sdk.__all__:
        assert getattr(sdk, name).__module__.startswith("model_server.client"), name


def test_a_name_that_is_none() -> None:
    with pytest.raises(AttributeError, match="no attribute 'RateLimitedd'"):
        sdk.RateLimitedd  # noqa: B018


def test_names_come_with_a_star() -> None:
    names: dict[str, object] = {}
    exec("from model_server.client import *", names)
    assert names["RateLimited"] is sdk.RateLimited


def test_both_clients_have_the_same_operations() -> None:
    assert [name for name in vars(AsyncClient) if not name.startswith("_")] == OPERATIONS
    assert {"embed", "rerank", "chat_stream", "login", "ready", "close"} <= set(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_signatures_and_documentation_are_equal(name: str) -> None:
    sync, asynchronous = getattr(Client, name), getattr(AsyncClient, name)
    assert inspect.iscoroutinefunction(asynchronous)
    assert not inspect.iscoroutinefunction(sync)
    ours, theirs = inspect.signature(sync), inspect.signature(asynchronous)
    assert ours.parameters == theirs.parameters
    returned = str(theirs.return_annotation).replace("AsyncChatStream", "ChatStream")
    assert returned == ours.return_annotation
    assert sync.__doc__ is not None
    assert sync.__doc__ == asynchronous.__doc__


def test_the_errors_are_a_tree() -> None:
    assert issubclass(sdk.APITimeoutError, sdk.APIConnectionError)
    for kind in (sdk.APIConnectionError, sdk.APIStatusError):
        assert issubclass(kind, sdk.ModelServerError)
    for kind in (sdk.ResponseInvalid, sdk.VectorSpaceChanged):
        assert kind.__mro__[1] is sdk.ModelServerError


def test_the_logger_has_a_null_handler_only() -> None:
    handlers = logging.getLogger("model_server.client").handlers
    assert [type(handler) for handler in handlers] == [logging.NullHandler]


def test_it_imports_types_and_the_table_only() -> None:
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 2:
                names = {node.module} if node.module else {alias.name for alias in node.names}
                assert names <= {"types", "errors", "__version__"}, file


def test_one_file_knows_the_http_library() -> None:
    knowing = [file.name for file in FILES if "import httpx2" in file.read_text()]
    assert knowing == ["_transport.py"]


def test_the_server_knows_nothing_of_it() -> None:
    server = PACKAGE.parent
    for file in server.rglob("*.py"):
        if PACKAGE not in file.parents:
            assert "from .client" not in file.read_text(), file
            assert "from ..client" not in file.read_text(), file


def test_it_needs_httpx2_and_pydantic_only() -> None:
    code = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        blocked = {"flask", "apiflask", "werkzeug", "gunicorn", "numpy", "torch", "transformers",
                   "prometheus_client", "structlog", "limits", "jwt", "redis", "cryptography"}
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
from model_server.client import AsyncClient, Client
with Client("https://service.test", api_key="k") as client:
    print(client)
print(AsyncClient(socket="/run/none.sock", model="m"))
try:
    import numpy
except ModuleNotFoundError:
    print("blocked")
"""
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.splitlines() == [
        "Client('https://service.test', model=None)",
        "AsyncClient('/run/none.sock', model='m')",
        "blocked",
    ]
