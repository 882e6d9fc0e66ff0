# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is checked beside the hashes before a snapshot is sealed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ._manifest import Manifest
from ._scan import Allowed, check_names, scan
from ._signing import Trust, check_trust, verify_signature


@dataclass(frozen=True)
class Policy:
    """What the user allows and requires.

    ``allow_pickle`` and ``allow_code`` are shell patterns. ``signature`` is the text of a signature
    file, ``trusted_keys`` and ``trusted_certificates`` are PEM texts. ``tools_python`` is the
    interpreter, or the folder, of the tools environment. ``check_mode`` says that nothing is to be
    changed and that this environment may not be made yet.
    """

    allow_pickle: tuple[str, ...] = ()
    allow_code: tuple[str, ...] = ()
    signature: str = ""
    trusted_keys: tuple[str, ...] = ()
    trusted_certificates: tuple[str, ...] = ()
    require_signature: bool = False
    tools_python: str = ""
    check_mode: bool = False


def check_signature(
    lock: Manifest | None, policy: Policy, known: Mapping[str, Any], name: str
) -> None:
    """Refuse, before the first byte, a lock that is not signed as it must be.

    Without a lock only what must be given is looked at. Raises ``ModelError``.
    """
    if lock is None:
        check_trust(_trust(policy), name)
    else:
        verify_signature(lock, _trust(policy), known.get("signature") or {})


def check_policy(paths: Iterable[str], policy: Policy, name: str) -> None:
    """Refuse, before the first byte, what names alone give away. Raises ``ModelError``."""
    check_names(paths, _allowed(policy), name)


def approve(
    folder: str, manifest: Manifest, policy: Policy, known: Mapping[str, Any]
) -> dict[str, Any]:
    """Scan ``folder`` and verify the signature; return both results by name.

    ``known`` is the proof of an earlier run; what it covers is not done again. Raises
    ``ModelError``.
    """
    return {
        "scan": scan(folder, manifest, _allowed(policy), known.get("scan") or {}),
        "signature": verify_signature(manifest, _trust(policy), known.get("signature") or {}),
    }


def _trust(policy: Policy) -> Trust:
    return Trust(
        signature=policy.signature,
        keys=policy.trusted_keys,
        certificates=policy.trusted_certificates,
        required=policy.require_signature,
        tools_python=policy.tools_python,
        foresee=policy.check_mode,
    )


def _allowed(policy: Policy) -> Allowed:
    return Allowed(
        pickle=policy.allow_pickle,
        code=policy.allow_code,
        tools_python=policy.tools_python,
        foresee=policy.check_mode,
    )
