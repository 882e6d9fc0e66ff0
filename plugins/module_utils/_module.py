# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame of every model module: run the work, and turn failures into the module's answer."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from ._errors import ModelError

FULL = (errno.ENOSPC, errno.EDQUOT)


def run_module(module: Any, work: Callable[[Any], dict[str, Any]]) -> None:
    """Exit ``module`` with what ``work(module)`` returns, or fail with message and stable code."""
    try:
        result = work(module)
    except ModelError as error:
        module.fail_json(msg=error.message, code=error.code, **error.details)
    except OSError as error:
        module.fail_json(
            msg=f"The host refused a file operation: {error}. Check the path, its owner and room.",
            code="disk_full" if error.errno in FULL else "file_error",
        )
    else:
        module.exit_json(**result)
