# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""ansible-test, which wants the collection at .../ansible_collections/<namespace>/<name>.

It works on a clean copy there, so that neither build outputs nor virtual environments are looked
at. Each of its sanity tests has a virtual environment of its own, into which ansible-test puts pip
with a bootstrap script from its project's server for continuous integration. So that no test
depends on that server, ``bootstrap_pip`` puts an equal script into ansible-test's cache, made from
the pip that the package index offers.
"""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
from pathlib import Path

from .collection import NAME, NAMESPACE
from .paths import CACHE, ROOT, binary
from .report import Failure, run

SCRIPT = '''"""Install pip from the wheel inside this file, as get-pip.py does."""
import base64, os, sys, tempfile
WHEEL = os.path.join(tempfile.mkdtemp(prefix="get-pip-"), "{name}")
with open(WHEEL, "wb") as file:
    file.write(base64.b64decode("{data}"))
for loaded in [name for name in sys.modules if name.split(".")[0] == "pip"]:
    del sys.modules[loaded]
sys.path.insert(0, WHEEL)
from pip._internal.cli.main import main
sys.exit(main(["install", "--no-index", "--no-deps", "--disable-pip-version-check", WHEEL]))
'''


def sanity() -> str:
    """Run every sanity test; return what was run."""
    bootstrap_pip()
    tests = re.findall(r"^Running sanity test \"([\w-]+)\"", _run("sanity"), re.MULTILINE)
    if "validate-modules" not in tests:
        raise Failure("ansible-test sanity looked at no module; see .cache/logs")
    return f"{len(set(tests))} sanity tests passed"


def units() -> str:
    """Run the unit tests of the plugins; return pytest's closing line."""
    lines = _run("units").splitlines()
    closing = [line.strip("= ") for line in lines if re.search(r"\d+ passed", line)]
    if not closing:
        raise Failure("ansible-test units ran no test; see .cache/logs/ansible-test-units.log")
    return closing[-1]


def files() -> list[Path]:
    """Return the files of the project, relative to its root: tracked, and new but not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        raise Failure(f"{ROOT} is not a git checkout: {listed.stderr.decode().strip()}")
    paths = (Path(name) for name in listed.stdout.decode().split("\0") if name)
    return sorted(path for path in paths if (ROOT / path).is_file())


def bootstrap_pip() -> None:
    """Have the bootstrap script in ansible-test's cache."""
    version = _pip_version()
    cached = Path.home() / ".ansible" / "test" / "cache" / f"get_pip_{version.replace('.', '_')}.py"
    if cached.exists():
        return
    folder = CACHE / "pip"
    command = [binary("units", "pip"), "download", "--quiet", "--no-deps", "--dest", str(folder)]
    run([*command, f"pip=={version}"], log="pip-download")
    wheel = next(folder.glob(f"pip-{version}-*.whl"))
    data = base64.b64encode(wheel.read_bytes()).decode()
    cached.parent.mkdir(parents=True, exist_ok=True)
    cached.write_text(SCRIPT.format(name=wheel.name, data=data), encoding="ascii")


def _run(verb: str) -> str:
    workspace = CACHE / f"ansible-test-{verb}" / "ansible_collections" / NAMESPACE / NAME
    shutil.rmtree(workspace, ignore_errors=True)
    for path in files():
        target = workspace / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, target)
    # ansible-test asks git for the files, and would hear of none below an ignored folder.
    run(["git", "init", "--quiet"], log=f"git-{verb}", cwd=workspace)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [binary("units", "ansible-test"), verb, "--local", "--python", python]
    return run(command, log=f"ansible-test-{verb}", cwd=workspace)


def _pip_version() -> str:
    """Return the version of pip that this ansible-test puts into its virtual environments."""
    script = "import ansible_test._internal.python_requirements as r; print(r.__file__)"
    python = binary("units", "python")
    source = Path(subprocess.check_output([python, "-c", script], text=True).strip())
    found = re.search(r"pip='([\d.]+)'", source.read_text(encoding="utf-8"))
    if found is None:
        raise Failure(f"no pip version in {source}; this ansible-core is not known to the tools")
    return found.group(1)
