# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Commands of the model server: `python -m model_server COMMAND --help`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from .credentials import from_environment
from .security.audit_chain import AuditError, Head, verify
from .security.conversations import ConversationStore
from .settings import Settings, SettingsError, read_settings


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 0, or 1 with the reason on standard error."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (SettingsError, AuditError) as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="model_server", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    check = commands.add_parser("check-settings", help="validate a settings file")
    check.add_argument("file", type=Path)
    check.set_defaults(run=_check_settings)

    schema = commands.add_parser("settings-schema", help="print the schema of the settings file")
    schema.set_defaults(run=_print_schema)

    audit = commands.add_parser("verify-audit", help="find what is missing in an audit log")
    audit.add_argument("files", type=Path, nargs="+", metavar="FILE", help="oldest first; also .gz")
    audit.add_argument(
        "--head",
        type=Head.parse,
        metavar="SEQ:HASH",
        help="a head that the journal holds (event audit_head): finds a cut end as well",
    )
    audit.set_defaults(run=_verify_audit)

    renew = commands.add_parser(
        "reencrypt-conversations",
        help="encrypt kept conversations under the newest key; reads $MODEL_SERVER_SETTINGS and "
        "$CREDENTIALS_DIRECTORY",
    )
    renew.set_defaults(run=_reencrypt)
    return parser


def _check_settings(options: argparse.Namespace) -> int:
    read_settings(options.file)
    return 0


def _print_schema(_options: argparse.Namespace) -> int:
    print(json.dumps(Settings.model_json_schema(), indent=2))
    return 0


def _verify_audit(options: argparse.Namespace) -> int:
    chain = verify(options.files, options.head)
    if chain.damage is not None:
        print(chain.damage, file=sys.stderr)
        return 1
    print(f"{chain.lines} lines from {chain.first} on, chain whole, head {chain.head}")
    return 0


def _reencrypt(_options: argparse.Namespace) -> int:
    loaded = from_environment()
    kept = loaded.settings.conversations
    if kept.file is None:
        print("no conversations are kept")
        return 0
    keys = loaded.credentials.conversation_keys
    store = ConversationStore(kept.file, keys, kept.retention_days, time.time)
    renewed, problems = store.reencrypt()
    store.close()
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{renewed} messages encrypted under the key {keys[0].version}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
