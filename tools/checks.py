# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The checks and tests that need no container, each a function that raises ``Failure``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from . import ansible_test, collection, engine
from .paths import CACHE, ROOT, SERVER, binary
from .report import Failure, run, say

MODULE_UTILS = f"ansible_collections.{collection.NAMESPACE}.{collection.NAME}.plugins.module_utils"
FAKETIME = "*/faketime/libfaketimeMT.so.1"  # makes the clock of a test's process jump
SERVER_TEST_PROGRAMS = (
    ("/usr/bin/chromium", "chromium"),
    ("/usr/share/fonts/opentype/noto", "fonts-noto-cjk"),
    ("/usr/bin/redis-server", "redis-server"),
)
_PASSED = re.compile(r"\b\d+ passed\b")


def ruff() -> None:
    """Lint all Python."""
    _dev("ruff", "check", "--no-cache", ".")


def mypy() -> None:
    """Check the types of what runs on hosts, of the tools and of the server, strictly."""
    paths = {"MYPYPATH": str(collection.link())}
    strict = ["mypy", "--strict", "--namespace-packages", "--explicit-package-bases"]
    _dev(*strict, "--package", MODULE_UTILS, log="mypy-module-utils", env=paths)
    _dev(*strict, "--package", "tools", log="mypy-tools")
    # The server's own configuration says which package, and that strictly.
    server = ["mypy", "--python-executable", binary("server", "python")]
    _dev(*server, log="mypy-server", cwd=SERVER)


def yamllint() -> None:
    """Lint all YAML."""
    files = [str(path) for path in ansible_test.files() if path.suffix in {".yml", ".yaml"}]
    _dev("yamllint", "--strict", *files)


def ansible_lint() -> None:
    """Lint roles and playbooks at the production profile."""
    paths = {"ANSIBLE_COLLECTIONS_PATH": str(collection.link())}
    _dev("ansible-lint", "--strict", "--nocolor", env=paths)


def documentation() -> None:
    """Check the documentation of the collection and its changelog."""
    check = ["antsibull-docs", "lint-collection-docs", "--plugin-docs"]
    _dev(*check, "--validate-collection-refs=self", ".")
    _dev("antsibull-changelog", "lint")


def importer() -> None:
    """Build the tarball and check it as Galaxy does when it imports one."""
    tarball = collection.build(CACHE / "importer")
    config = CACHE / "galaxy-importer.cfg"
    # Both of these are checks of their own here.
    apart = "RUN_ANSIBLE_TEST = False\nRUN_ANSIBLE_LINT = False\n"
    config.write_text(f"[galaxy-importer]\n{apart}", encoding="ascii")
    command = [binary("dev", "python"), "-m", "galaxy_importer.main", tarball.name]
    paths = {"GALAXY_IMPORTER_CONFIG": str(config)}
    text = run(command, log="galaxy-importer", cwd=tarball.parent, env={**_path(), **paths})
    complaints = [line for line in text.splitlines() if line.startswith(("ERROR", "WARNING"))]
    if complaints:
        raise Failure("\n".join(complaints))


def sanity() -> None:
    """Run every sanity test of ansible-test."""
    say(f"  {ansible_test.sanity()}")


def unit_tests() -> None:
    """Run the unit tests of the plugins."""
    say(f"  {ansible_test.units()}")


def project_tests() -> None:
    """Run the tests of the collection as a whole: tarball, specs, licences, inventories, hub."""
    paths = {"ANSIBLE_COLLECTIONS_PATH": str(collection.link())}
    apart = ("unit", "server", "model_tools", "clients", "faults", "systems")
    others = [f"--ignore=tests/{name}" for name in apart]
    _pytest("dev", "tests", *others, env={**_path(), **paths})


def system_tests() -> None:
    """Render what the roles would write on every supported system, by Ansible's own engine."""
    # Apart from other tests: that engine must be the first to import the collection.
    _pytest("dev", "tests/systems", env=_path())


def fault_tests() -> None:
    """Let everything go wrong that can, with the real module as a process of its own."""
    if not any(Path("/usr/lib").glob(FAKETIME)):
        engine.install("libfaketime")
    _pytest("dev", "tests/faults", env={"PYTHONPATH": str(collection.link())})


def server_tests() -> None:
    """Run the tests of the server; some need a browser with Chinese fonts, or a Redis."""
    missing = [package for program, package in SERVER_TEST_PROGRAMS if not Path(program).exists()]
    if missing:
        engine.install(*missing)
    _pytest("server", "tests/server", env={"PYTHONPATH": str(SERVER)})


def client_tests() -> None:
    """Let the hubs' own clients download from the test hub."""
    python = {"MODEL_CLIENTS_PYTHON": binary("clients", "python")}
    _pytest("dev", "tests/clients", env={"PYTHONPATH": str(collection.link()), **python})


def model_tools_tests() -> None:
    """Run the programs of the tools environment with its real packages."""
    python = {"MODEL_TOOLS_PYTHON": binary("model_tools", "python")}
    _pytest("dev", "tests/model_tools", env={"PYTHONPATH": str(collection.link()), **python})


LINT: tuple[Callable[[], None], ...] = (ruff, mypy, yamllint, ansible_lint, documentation)
TESTS: tuple[Callable[[], None], ...] = (
    server_tests,
    unit_tests,
    sanity,
    project_tests,
    fault_tests,
    system_tests,
    importer,
    model_tools_tests,
    client_tests,
)


def _path() -> dict[str, str]:
    return {"PATH": f"{Path(binary('dev', 'python')).parent}{os.pathsep}{os.environ['PATH']}"}


def _dev(*command: str, log: str = "", env: dict[str, str] | None = None, cwd: Path = ROOT) -> None:
    run(
        [binary("dev", command[0]), *command[1:]],
        log=log or command[0],
        env={**_path(), **(env or {})},
        cwd=cwd,
    )


def _pytest(venv: str, *arguments: str, env: dict[str, str] | None = None) -> None:
    """Run pytest in one of the environments, and show its closing line."""
    if not (ROOT / arguments[0]).is_dir():
        raise Failure(f"{arguments[0]} is missing")
    command = [binary(venv, "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    text = run(command, log=f"pytest-{arguments[0].replace('/', '-')}", env=env)
    closing = text.strip().splitlines()[-1].strip("= ")
    if not _PASSED.search(closing):
        raise Failure(f"no test ran in {arguments[0]}: {closing}")
    say(f"  {closing}")
