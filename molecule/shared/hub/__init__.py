# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The test hub: a stand-in for ModelScope, Hugging Face and a plain HTTP store.

It is not a hub. It serves folders ``<root>/<owner>/<name>/...`` over the protocols that the real
hubs' clients speak (read from the sources of modelscope 1.40 and huggingface_hub 2.4), so that
downloads can be tested, and made to fail, without a network. Standard library, Python 3.9+.

Where it runs:

* a command: ``python3 molecule/shared/hub ROOT --port 8765``; in a container copy this folder
  and run ``python3 /opt/hub /srv/models --bind 0.0.0.0 --host hub --cdn-host cdn.hub``;
* pytest: ``tests/conftest.py`` puts this folder's parent on ``sys.path`` and offers the fixtures
  ``hub_root`` and ``model_hub`` of ``hub.fixtures`` to every test;
* Python: ``with Hub(root) as hub: hub.faults.add("cut", "model.safetensors")``.

Addresses, below ``hub.url``:

=====================================  ============================================================
/api/v1/models/..., /api/v1/login      ModelScope (endpoint = hub.url)
/api/models/..., /<id>/resolve/...     Hugging Face (endpoint = hub.url)
/store/<owner>/<name>/<revision>/...   plain store, with a ``manifest.json`` in the lock's shape
/cdn/...                               only under the second host name; signed, wants no token
/__hub__/{faults,requests,tokens}      the control endpoint, see ``control.py``
=====================================  ============================================================

Large files (by suffix, as Git LFS, or from 10 MiB) answer with a redirect to the CDN's host name,
as on the real hubs. A repository whose name contains ``private`` needs the token. The newest
revision is ``<root>/<owner>/<name>``; a sibling folder ``<name>@<tag>`` holds that tag's files,
and the tag ``v1.0.0`` exists always.
"""

from __future__ import annotations

from .faults import Faults
from .journal import Journal
from .server import Hub

__all__ = ["Faults", "Hub", "Journal"]
