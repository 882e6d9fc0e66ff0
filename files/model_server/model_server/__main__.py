# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Commands: `python -m model_server check-settings FILE | settings-schema`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .settings import Settings, SettingsError, read_settings


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 0, or 1 when the settings are wrong."""
    parser = argparse.ArgumentParser(prog="model_server", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check-settings", help="validate a settings file")
    check.add_argument("file", type=Path)
    commands.add_parser("settings-schema", help="print the JSON schema of the settings file")
    options = parser.parse_args(arguments)
    if options.command == "settings-schema":
        print(json.dumps(Settings.model_json_schema(), indent=2))
        return 0
    try:
        read_settings(options.file)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
