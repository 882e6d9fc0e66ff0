# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let a hub's own client library fetch, from an environment that the user declares.

The client runs in a process of its own and is trusted with nothing: what it leaves behind is
verified like all other bytes.
"""

from __future__ import annotations

import glob
import json
import os
import subprocess
from collections.abc import Sequence

from ._errors import ModelError
from ._files import list_tree
from ._sources import Source

# The source that each client can read, its function, and the name of the pattern argument there.
CLIENTS = {
    "modelscope": ("modelscope", "modelscope", "allow_file_pattern"),
    "huggingface_hub": ("huggingface", "huggingface_hub", "allow_patterns"),
}
_PROGRAM = """
import json, sys
from {module} import snapshot_download
asked = json.load(sys.stdin)
snapshot_download(
    asked["id"], revision=asked["revision"], local_dir=asked["folder"], {argument}=asked["patterns"]
)
"""


def check_client(client: str, source: str, python: str) -> str:
    """Return the interpreter for ``client``. Raises ``ModelError`` (``invalid_option``)."""
    if CLIENTS[client][0] != source:
        raise ModelError(
            f"client is '{client}', which cannot read the source '{source}'. Use builtin.",
            "invalid_option",
        )
    interpreter = os.path.join(python, "bin", "python") if os.path.isdir(python) else python
    if not interpreter or not os.access(interpreter, os.X_OK):
        raise ModelError(
            f"client is '{client}', but client_python '{python}' is no Python interpreter and no "
            "environment on the host. Give the path of one that has the library.",
            "invalid_option",
        )
    return interpreter


def run_client(client: str, python: str, source: Source, folder: str, paths: Sequence[str]) -> None:
    """Download ``paths`` into ``folder``. Raises ``ModelError`` (``client_failed``)."""
    wanted, token = source.wanted, source.connection.token
    request = {
        "id": wanted.id,
        "revision": source.commit or wanted.revision,
        "folder": folder,
        "patterns": [glob.escape(path) for path in paths],
    }
    _source, module, argument = CLIENTS[client]
    done = subprocess.run(
        [python, "-c", _PROGRAM.format(module=module, argument=argument)],
        input=json.dumps(request),
        env=_environment(source),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        output = done.stdout.replace(token, "***") if token else done.stdout
        last = (output.strip().splitlines() or ["no output"])[-1]
        raise ModelError(
            f"The client {client} ({python}) could not fetch {wanted.id} from {wanted.endpoint}: "
            f"{last}",
            "client_failed",
            output=output[-4000:],
        )
    _flatten(folder, wanted.id)


def _environment(source: Source) -> dict[str, str]:
    wanted, connection = source.wanted, source.connection
    cache = os.path.join(wanted.work, "client")
    os.makedirs(cache, exist_ok=True)
    extra = {
        "MODELSCOPE_ENDPOINT": wanted.endpoint,
        "MODELSCOPE_CACHE": cache,
        "MODELSCOPE_HOME": cache,
        "MODELSCOPE_DOWNLOAD_INTRA_CLOUD": "false",
        # The default of one hour for a file is too short for large files on slow lines.
        "MODELSCOPE_DOWNLOAD_TOTAL_TIMEOUT": "86400",
        "HF_ENDPOINT": wanted.endpoint,
        "HF_HOME": cache,
        "HF_HUB_DISABLE_XET": "1",  # Xet does not follow HF_ENDPOINT
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    if connection.token:
        extra.update(MODELSCOPE_API_TOKEN=connection.token, HF_TOKEN=connection.token)
    if connection.proxy:
        extra.update(http_proxy=connection.proxy, https_proxy=connection.proxy)
    if connection.ca_bundle:
        extra.update(REQUESTS_CA_BUNDLE=connection.ca_bundle, SSL_CERT_FILE=connection.ca_bundle)
    return {**os.environ, **extra}


def _flatten(folder: str, model_id: str) -> None:
    """Move the files up if the client made a folder ``owner/name`` of its own for them."""
    nested = os.path.join(folder, *model_id.split("/"))
    if os.path.isfile(os.path.join(folder, "config.json")) or not os.path.isdir(nested):
        return
    for path in list_tree(nested):
        target = os.path.join(folder, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.replace(os.path.join(nested, path), target)
