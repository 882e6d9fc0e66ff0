# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sources of models. Static imports: only what is imported reaches a host."""

from __future__ import annotations

from .base import Connection, Listing, Source, SourceFile, Wanted
from .http import HttpSource
from .huggingface import HuggingFaceSource
from .modelscope import ModelScopeSource
from .package import PackageSource
from .path import PathSource

__all__ = ["SOURCES", "Connection", "Listing", "Source", "SourceFile", "Wanted", "source_name"]

SOURCES: dict[str, type[Source]] = {
    "http": HttpSource,
    "huggingface": HuggingFaceSource,
    "modelscope": ModelScopeSource,
    "package": PackageSource,
    "path": PathSource,
}


def source_name(source: Source) -> str:
    """Return the name that users give to the kind of ``source``."""
    return next(name for name, kind in SOURCES.items() if isinstance(source, kind))
