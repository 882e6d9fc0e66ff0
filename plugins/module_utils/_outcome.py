# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run did to a snapshot, or would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ._manifest import Manifest


@dataclass
class Outcome:
    """What was done, or would be. ``files`` has path, size (bytes or none) and reason.

    Reasons: ``new``, ``missing``, ``different``, ``extra`` (removed), ``mode`` (sealed again),
    ``verity`` (fs-verity tried again), ``proof`` (checked by other rules), ``shared`` (linked to
    the same bytes in another snapshot; ``shared_bytes`` counts them). ``transfer`` has a meter's
    figures and the bytes by host, none if nothing was fetched. ``warnings`` are sentences.
    ``proof`` is what ``_approval.approve`` returned, and what ``_seal.protect`` recorded.
    """

    path: str
    changed: bool = False
    manifest: Manifest | None = None
    fetched_bytes: int = 0
    shared_bytes: int = 0
    files: list[dict[str, Any]] = field(default_factory=list)
    transfer: dict[str, Any] | None = None
    warnings: list[str] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    proof: dict[str, Any] = field(default_factory=dict)

    def add(self, path: str, size: int | None, reason: str) -> None:
        """Note one file that changes."""
        self.changed = True
        self.files.append({"path": path, "size": size, "reason": reason})

    def share(self, path: str, size: int) -> None:
        """Note one file whose bytes lie in another snapshot already."""
        self.add(path, size, "shared")
        self.shared_bytes += size

    def to_dict(self) -> dict[str, Any]:
        """Return the module's result."""
        return {
            "changed": self.changed,
            "path": self.path,
            "manifest": self.manifest.to_dict() if self.manifest else None,
            "fetched_bytes": self.fetched_bytes,
            "shared_bytes": self.shared_bytes,
            "transfer": self.transfer,
            "files": self.files,
            "signature": self.proof.get("signature"),
            "scan": _public(self.proof.get("scan"), ("files", "findings", "scanner")),
            "seal": _public(self.proof.get("seal"), ("verity", "reason")),
        }

    def diff(self) -> dict[str, str]:
        """Return the files and sizes before and after, for the diff mode."""
        return {
            "before_header": self.path,
            "after_header": self.path,
            "before": _table(self.before),
            "after": _table(self.after),
        }


def _table(sizes: dict[str, int]) -> str:
    return "".join(f"{size:>12} {path}\n" for path, size in sorted(sizes.items()))


def _public(part: dict[str, Any] | None, keys: Sequence[str]) -> dict[str, Any] | None:
    """Leave out what a part of the proof is recognised by."""
    return part and {key: part[key] for key in keys if key in part}
