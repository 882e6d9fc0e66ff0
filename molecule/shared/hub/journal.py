# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What the test hub was asked: one record per request, in memory and as JSON lines.

A token's value is never written; the record says in which headers one arrived.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any


class Journal:
    """A thread-safe list of requests; ``file`` receives each record as a line when given."""

    def __init__(self, file: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._file = file
        self._records: list[dict[str, Any]] = []

    def add(self, record: dict[str, Any]) -> None:
        """Append one record: method, path, host, status, sent, credentials, ..."""
        with self._lock:
            self._records.append(record)
            if self._file is not None:
                with self._file.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(record, ensure_ascii=False, sort_keys=True) + "\n")

    def records(self, **wanted: Any) -> list[dict[str, Any]]:
        """Return copies of the records whose fields equal ``wanted``."""
        with self._lock:
            return [
                dict(record)
                for record in self._records
                if all(record.get(key) == value for key, value in wanted.items())
            ]

    def token_hosts(self) -> list[str]:
        """Return the host names, without port, on which any credential was received."""
        return sorted({record["host"] for record in self.records() if record["credentials"]})

    def clear(self) -> None:
        """Forget the records in memory; the file keeps its lines."""
        with self._lock:
            self._records.clear()
