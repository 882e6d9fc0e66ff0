#!/usr/bin/python
# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: acme_preconditions
short_description: Check what an ACME authority will check, before it is asked
version_added: 0.1.0
description:
  - Checks by the resolver and the network of the host that it runs on. Put a file with a random
    content into the webroot before, and remove it afterwards.
  - All problems are reported in one message, each with its remedy.
extends_documentation_fragment:
  - modelops.serving.attributes
  - modelops.serving.attributes.info
options:
  names:
    description: The host names of the certificate.
    type: list
    elements: str
    default: []
  addresses:
    description: The IP addresses of the certificate.
    type: list
    elements: str
    default: []
  public_addresses:
    description: The addresses that O(names) may lead to. None leaves this to the other checks.
    type: list
    elements: str
    default: []
  token:
    description: The name of the file in the webroot, below V(.well-known/acme-challenge).
    type: str
    required: true
  content:
    description: What the file says.
    type: str
    required: true
  directory:
    description: The ACME directory whose authority must be admitted by CAA. Empty skips that check.
    type: str
    default: ""
  ca_bundle:
    description: A file with the authorities that vouch for O(directory). Empty means the system's.
    type: path
    default: ""
  caa_identities:
    description: What the authority calls itself in CAA records. Empty asks O(directory).
    type: list
    elements: str
    default: []
  resolvers:
    description: The resolvers that are asked for CAA records. Empty means the system's.
    type: list
    elements: str
    default: []
  environment:
    description: The environment with dnspython, which the role python_env makes.
    type: path
    default: ""
author:
  - The modelops.serving contributors (@modelops)
"""

EXAMPLES = r"""
- name: Check that the name leads here and port 80 answers
  modelops.serving.acme_preconditions:
    names: [gte.example.com]
    public_addresses: [192.0.2.7]
    token: check-5f0c
    content: a random text
"""

RETURN = r"""
resolvers:
  description: Those that were asked for CAA records.
  type: list
  elements: str
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.modelops.serving.plugins.module_utils._acme_preconditions import (
    forbidden_by_caa,
    wrong_address,
    wrong_answer,
)
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._http import HttpClient
from ansible_collections.modelops.serving.plugins.module_utils._programs import caa_records
from ansible_collections.modelops.serving.plugins.module_utils._tools import run_tool


def problems_of_caa(given):
    """Return the problems with CAA, and the resolvers that were asked."""
    identities = given["caa_identities"]
    if not identities:
        directory = HttpClient(ca_bundle=given["ca_bundle"]).document(given["directory"]).json()
        identities = (directory.get("meta") or {}).get("caaIdentities") or []
    request = {"names": given["names"], "resolvers": given["resolvers"]}
    answer = run_tool(given["environment"], caa_records, request)
    asked = ", ".join(answer["resolvers"])
    problems = [
        f"{problem} (the resolver {asked} was asked)"
        for name, found in answer["found"].items()
        for problem in [forbidden_by_caa(name, found, identities)]
        if problem
    ]
    return problems, answer["resolvers"]


def main():
    options = {
        "names": {"type": "list", "elements": "str", "default": []},
        "addresses": {"type": "list", "elements": "str", "default": []},
        "public_addresses": {"type": "list", "elements": "str", "default": []},
        "token": {"type": "str", "required": True, "no_log": False},
        "content": {"type": "str", "required": True},
        "directory": {"type": "str", "default": ""},
        "ca_bundle": {"type": "path", "default": ""},
        "caa_identities": {"type": "list", "elements": "str", "default": []},
        "resolvers": {"type": "list", "elements": "str", "default": []},
        "environment": {"type": "path", "default": ""},
    }
    module = AnsibleModule(options, supports_check_mode=True)
    given = module.params
    reached_by = given["names"] + given["addresses"]
    problems, resolvers = [], []
    if given["public_addresses"]:
        problems += [wrong_address(name, given["public_addresses"]) for name in reached_by]
    problems += [wrong_answer(name, given["token"], given["content"]) for name in reached_by]
    try:
        if given["directory"] and given["names"]:
            by_caa, resolvers = problems_of_caa(given)
            problems += by_caa
    except ModelError as error:
        problems.append(error.message)
    problems = [problem for problem in problems if problem]
    if problems:
        module.fail_json(msg="\n".join(problems), resolvers=resolvers)
    module.exit_json(changed=False, resolvers=resolvers)


if __name__ == "__main__":
    main()
